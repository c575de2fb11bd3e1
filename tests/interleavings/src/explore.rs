//! All schedules of some sessions, up to a number of preemptions, each once.
//!
//! A schedule is played as far as it says, and then goes on without preemption.
//! What it did tells which schedules begin like it: those that preempt at a later
//! step, or that let another session go on where one had to stop.

use std::collections::VecDeque;

use crate::{
    crew::{Crew, Entry, Part},
    program::Program,
    schedule::{Point, Schedule, Segment, letter},
    world::World,
};

/// What a run was like.
#[derive(Debug)]
pub struct Run {
    pub schedule: Schedule,
    pub log: Vec<Entry>,
    pub trace: Vec<String>,
    pub violations: Vec<String>,
    stretches: Vec<Stretch>,
}

/// A session's turn.
#[derive(Debug)]
struct Stretch {
    segment: Segment,
    parts: Vec<Part>,
    /// Who else could have gone on instead of who did.
    instead: Vec<usize>,
}

/// Which schedules are to be played.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    pub preemptions: usize,
    /// With one preemption more, so many at most, taken evenly from all.
    pub sample: usize,
}

/// The schedules of some sessions that are yet to be played.
pub struct Frontier {
    bound: Bound,
    open: VecDeque<Schedule>,
    beyond: Vec<Schedule>,
}

impl Frontier {
    pub fn new(sessions: usize, bound: Bound) -> Self {
        let first = |session| {
            Schedule(vec![Segment {
                session,
                stop: None,
            }])
        };
        Self {
            bound,
            open: (0..sessions).map(first).collect(),
            beyond: Vec::new(),
        }
    }

    #[expect(clippy::should_implement_trait, reason = "it is not iterated over")]
    pub fn next(&mut self) -> Option<Schedule> {
        if self.open.is_empty() && !self.beyond.is_empty() {
            let beyond = std::mem::take(&mut self.beyond);
            let step = beyond.len().div_ceil(self.bound.sample.max(1));
            self.open.extend(beyond.into_iter().step_by(step));
            self.bound.sample = 0;
        }
        self.open.pop_front()
    }

    /// Note which schedules begin like one that was played. `given` is how many
    /// of its segments were.
    pub fn grow(&mut self, given: usize, run: &Run) {
        for (place, stretch) in run.stretches.iter().enumerate() {
            let before = || run.stretches[..place].iter().map(|stretch| stretch.segment);
            if place >= given {
                for &session in &stretch.instead {
                    self.add(before().chain([Segment {
                        session,
                        stop: None,
                    }]));
                }
            }
            if place + 1 < given {
                continue;
            }
            for (stop, other) in stretch.preemptions() {
                let session = stretch.segment.session;
                self.add(before().chain([
                    Segment {
                        session,
                        stop: Some(stop),
                    },
                    Segment {
                        session: other,
                        stop: None,
                    },
                ]));
            }
        }
    }

    fn add(&mut self, segments: impl Iterator<Item = Segment>) {
        let schedule = Schedule(segments.collect());
        let preemptions = schedule.preemptions();
        if preemptions <= self.bound.preemptions {
            self.open.push_back(schedule);
        } else if preemptions == self.bound.preemptions + 1 && self.bound.sample > 0 {
            self.beyond.push(schedule);
        }
    }
}

impl Stretch {
    /// Where it could be interrupted, and by whom.
    fn preemptions(&self) -> Vec<(Point, usize)> {
        let mut found = Vec::new();
        for (number, part) in self.parts.iter().enumerate() {
            let first = part.from.step + usize::from(number == 0);
            for step in first..=part.to.step {
                let point = Point {
                    call: part.from.call,
                    step,
                };
                if self.segment.stop != Some(point) {
                    found.extend(part.others.iter().map(|other| (point, *other)));
                }
            }
        }
        found
    }
}

/// Play a schedule. Returns nothing if it cannot be played: who is to go on is
/// blocked.
pub async fn play<W: World>(
    world: &mut W,
    programs: &[Program],
    schedule: &Schedule,
) -> Option<Run> {
    let programs = programs
        .iter()
        .enumerate()
        .map(|(session, program)| (program.clone(), schedule.stops(session)));
    let mut crew = Crew::new(world, programs.collect());
    let mut given = schedule.0.iter();
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut stuck = false;
    while !crew.is_over() {
        let enabled = crew.enabled();
        let Some(&first) = enabled.first() else {
            stuck = crew.is_stuck().await;
            if stuck {
                break;
            }
            continue;
        };
        let segment = given.next().copied();
        let segment = segment.unwrap_or(Segment {
            session: first,
            stop: None,
        });
        if !enabled.contains(&segment.session) {
            crew.violations.clear();
            drop(crew);
            world.abort().await;
            return None;
        }
        let parts = crew.run(segment.session).await;
        let instead = enabled
            .into_iter()
            .filter(|other| *other != segment.session);
        stretches.push(Stretch {
            segment,
            parts,
            instead: instead.collect(),
        });
        if segment
            .stop
            .is_some_and(|stop| stop != crew.at(segment.session))
        {
            drop(crew);
            world.abort().await;
            return None;
        }
    }
    if stuck {
        let waiting: String = crew.blocked().into_iter().map(letter).collect();
        crew.violations
            .push(format!("{waiting} wait for each other"));
    }
    let (log, trace, violations) = (
        std::mem::take(&mut crew.log),
        std::mem::take(&mut crew.trace),
        std::mem::take(&mut crew.violations),
    );
    drop(crew);
    if !violations.is_empty() {
        world.abort().await;
    }
    Some(Run {
        schedule: Schedule(stretches.iter().map(|stretch| stretch.segment).collect()),
        log,
        trace,
        violations,
        stretches,
    })
}
