//! The sessions of one run: who stands where, and what they said.

use crate::{
    program::Program,
    request::{Reply, Request},
    schedule::{Point, letter},
    world::{Failure, Happening, World},
};

/// How often a call is tried that lost to others, as the adapter does.
const ATTEMPTS: u32 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Before its next call.
    Ready,
    Held,
    Blocked,
    Finished,
}

/// A session.
struct Member {
    program: Program,
    stops: Vec<Point>,
    standing: Standing,
    at: Point,
    /// The call that is under way or comes next, and when it began.
    request: Option<Request>,
    began: u64,
    attempts: u32,
}

/// A call that was answered.
#[derive(Debug, Clone)]
pub struct Entry {
    pub session: usize,
    pub request: Request,
    pub reply: Reply,
    /// Moments, counted by what happened.
    pub began: u64,
    pub ended: u64,
}

/// A run of one session through (a part of) one call: the points it passed, and
/// who else could have gone on meanwhile.
#[derive(Debug, Clone)]
pub struct Part {
    pub from: Point,
    pub to: Point,
    pub others: Vec<usize>,
}

pub struct Crew<'w, W> {
    world: &'w mut W,
    members: Vec<Member>,
    moment: u64,
    pub log: Vec<Entry>,
    pub trace: Vec<String>,
    pub violations: Vec<String>,
}

impl<'w, W: World> Crew<'w, W> {
    pub fn new(world: &'w mut W, programs: Vec<(Program, Vec<Point>)>) -> Self {
        let members = programs.into_iter().map(|(mut program, stops)| Member {
            request: program.next(),
            program,
            stops,
            standing: Standing::Ready,
            at: Point::default(),
            began: 0,
            attempts: 1,
        });
        Self {
            world,
            members: members.collect(),
            moment: 0,
            log: Vec::new(),
            trace: Vec::new(),
            violations: Vec::new(),
        }
    }

    pub fn at(&self, session: usize) -> Point {
        self.members[session].at
    }

    pub fn standing(&self, session: usize) -> Standing {
        self.members[session].standing
    }

    /// The sessions that can go on.
    pub fn enabled(&self) -> Vec<usize> {
        let can =
            |&session: &usize| matches!(self.standing(session), Standing::Ready | Standing::Held);
        (0..self.members.len()).filter(can).collect()
    }

    pub fn blocked(&self) -> Vec<usize> {
        let blocked = |&session: &usize| self.standing(session) == Standing::Blocked;
        (0..self.members.len()).filter(blocked).collect()
    }

    pub fn is_over(&self) -> bool {
        let mut members = self.members.iter();
        members.all(|member| member.standing == Standing::Finished)
    }

    /// Let a session go until it stops, is blocked, or ends.
    pub async fn run(&mut self, session: usize) -> Vec<Part> {
        let mut parts = Vec::new();
        loop {
            let mut others = self.enabled();
            others.retain(|other| *other != session);
            let from = self.at(session);
            self.go(session).await;
            let done = self.follow(session).await;
            parts.push(Part {
                from,
                to: self.at(session),
                others,
            });
            let Some(result) = done else {
                return parts;
            };
            self.note(session, result);
            self.look_at_the_blocked().await;
            let member = &self.members[session];
            if member.standing == Standing::Finished || member.stops.contains(&member.at) {
                return parts;
            }
        }
    }

    async fn go(&mut self, session: usize) {
        self.moment += 1;
        let member = &mut self.members[session];
        if member.standing == Standing::Held {
            return self.world.release(session).await;
        }
        member.began = self.moment;
        let call = member.at.call;
        // Before a call the session is in our hands.
        let stops = member.stops.iter();
        let stops = stops.filter(|stop| stop.call == call && stop.step > 0);
        let stops: Vec<usize> = stops.map(|stop| stop.step).collect();
        let request = member.request.as_ref().expect("a call that comes next");
        self.trace.push(format!("{} {request:?}", letter(session)));
        self.world.begin(session, request, &stops).await;
    }

    /// Returns the outcome of the call, unless the session stands still before.
    async fn follow(&mut self, session: usize) -> Option<Result<Reply, Failure>> {
        loop {
            let happening = self.world.listen(session).await;
            let member = &mut self.members[session];
            match happening {
                Happening::Step { step, label } => {
                    member.at.step = step;
                    self.trace.push(format!("{}   {label}", letter(session)));
                }
                Happening::Held { step, label } => {
                    member.at.step = step;
                    member.standing = Standing::Held;
                    self.trace
                        .push(format!("{}   {label}, and stops", letter(session)));
                    return None;
                }
                Happening::Blocked => {
                    if member.standing != Standing::Blocked {
                        member.standing = Standing::Blocked;
                        self.world.hold(session).await;
                        self.trace.push(format!("{}   is blocked", letter(session)));
                    }
                    return None;
                }
                Happening::Done(result) => return Some(result),
            }
        }
    }

    /// Those who were blocked by who ended a transaction go on to their next step.
    async fn look_at_the_blocked(&mut self) {
        let mut changed = true;
        while changed {
            changed = false;
            for session in 0..self.members.len() {
                if self.standing(session) != Standing::Blocked {
                    continue;
                }
                if let Some(result) = self.follow(session).await {
                    self.note(session, result);
                }
                changed |= self.standing(session) != Standing::Blocked;
            }
        }
    }

    /// Whether all who are not finished wait for each other.
    pub async fn is_stuck(&mut self) -> bool {
        self.look_at_the_blocked().await;
        self.enabled().is_empty() && !self.is_over()
    }

    fn note(&mut self, session: usize, result: Result<Reply, Failure>) {
        self.moment += 1;
        let member = &mut self.members[session];
        let request = member.request.take().expect("the call that came back");
        member.at = Point {
            call: member.at.call + 1,
            step: 0,
        };
        member.standing = Standing::Ready;
        match result {
            Ok(reply) => {
                self.trace.push(format!("{} {reply:?}", letter(session)));
                member.program.take(&request, &reply);
                member.attempts = 1;
                member.request = member.program.next();
                if member.request.is_none() {
                    member.standing = Standing::Finished;
                }
                self.log.push(Entry {
                    session,
                    request,
                    reply,
                    began: member.began,
                    ended: self.moment,
                });
            }
            Err(Failure::Again(why)) if member.attempts < ATTEMPTS => {
                self.trace.push(format!("{} {why}", letter(session)));
                member.attempts += 1;
                member.request = Some(request);
            }
            Err(Failure::Again(why) | Failure::Fatal(why)) => {
                member.standing = Standing::Finished;
                let violation = format!("{} failed: {why}", letter(session));
                self.trace.push(violation.clone());
                self.violations.push(violation);
            }
        }
    }
}
