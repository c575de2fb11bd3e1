//! What is played: every pair and the chosen triples, in every start state where
//! they belong.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    thread,
};

use tokio::task::LocalSet;

use crate::{
    explore::{Bound, Frontier, Run, play},
    judge,
    operations::{self, Operation},
    program::{Names, Program},
    report::{Report, Tally, Violation},
    schedule::Schedule,
    starts::{self, Start},
    world::{State, World},
};

/// So many violations of a group are told in full.
const TOLD: usize = 3;

/// Operations that meet in a start state.
#[derive(Debug, Clone)]
pub struct Group {
    pub start: &'static str,
    pub operations: Vec<Operation>,
    pub bound: Bound,
}

/// How far the suite goes.
#[derive(Debug, Clone, Copy)]
pub struct Depth {
    pub pairs: Bound,
    pub triples: Bound,
}

impl Depth {
    /// What fits into a test.
    pub const SHORT: Self = Self {
        pairs: Bound {
            preemptions: 1,
            sample: 6,
        },
        triples: Bound {
            preemptions: 0,
            sample: 40,
        },
    };

    /// What is worth an hour.
    pub const LONG: Self = Self {
        pairs: Bound {
            preemptions: 2,
            sample: 100,
        },
        triples: Bound {
            preemptions: 1,
            sample: 2000,
        },
    };
}

/// Everything there is to play, the groups of one start state side by side.
pub fn groups(depth: Depth, only: &str) -> Vec<Group> {
    let operations = operations::all();
    let mut groups = Vec::new();
    for start in starts::all() {
        let here: Vec<_> = operations
            .iter()
            .filter(|operation| operation.belongs(start.name))
            .collect();
        for (place, first) in here.iter().enumerate() {
            for second in &here[place..] {
                groups.push(Group {
                    start: start.name,
                    operations: vec![(*first).clone(), (*second).clone()],
                    bound: depth.pairs,
                });
            }
        }
    }
    for (start, names) in operations::TRIPLES {
        let named = |name: &&str| {
            let found = operations.iter().find(|operation| operation.name == *name);
            found
                .cloned()
                .unwrap_or_else(|| panic!("there is no {name}"))
        };
        groups.push(Group {
            start,
            operations: names.iter().map(named).collect(),
            bound: depth.triples,
        });
    }
    groups.retain(|group| group.title().contains(only));
    groups
}

impl Group {
    pub fn title(&self) -> String {
        let names: Vec<_> = self.operations.iter().map(|one| one.name).collect();
        format!("{}: {}", self.start, names.join(" "))
    }
}

/// Plays groups on one world.
pub struct Player<W> {
    world: W,
    starts: Vec<Start>,
    kept: HashMap<&'static str, (Names, State)>,
}

impl<W: World> Player<W> {
    pub fn new(world: W) -> Self {
        Self {
            world,
            starts: starts::all(),
            kept: HashMap::new(),
        }
    }

    /// Play all schedules of a group.
    pub async fn explore(&mut self, group: &Group) -> Report {
        let mut report = Report::default();
        let Some(programs) = self.programs(group).await else {
            return report;
        };
        let mut frontier = Frontier::new(programs.len(), group.bound);
        let mut seen = HashSet::new();
        let mut tally = Tally::default();
        while let Some(schedule) = frontier.next() {
            let Some((run, what)) = self.judged(group, &programs, &schedule, &mut seen).await
            else {
                report.blocked += 1;
                continue;
            };
            frontier.grow(schedule.0.len(), &run);
            tally.schedules += 1;
            if !what.is_empty() {
                tally.violations += 1;
                if tally.violations <= TOLD {
                    report.violations.push(violation(group, run, what));
                }
            }
        }
        tally.states = seen.len();
        report.tallies.insert(group.title(), tally);
        report
    }

    /// Play one schedule again, and say all that happened.
    pub async fn replay(&mut self, group: &Group, schedule: &Schedule) -> Option<Violation> {
        let programs = self.programs(group).await?;
        let mut seen = HashSet::new();
        let (run, what) = self.judged(group, &programs, schedule, &mut seen).await?;
        Some(violation(group, run, what))
    }

    async fn judged(
        &mut self,
        group: &Group,
        programs: &[Program],
        schedule: &Schedule,
        seen: &mut HashSet<String>,
    ) -> Option<(Run, Vec<String>)> {
        self.world.restore(group.start).await;
        let run = play(&mut self.world, programs, schedule).await?;
        if !run.violations.is_empty() {
            let what = run.violations.clone();
            return Some((run, what));
        }
        let unwoken = judge::unwoken(&run.log);
        let mut said: Vec<_> = run
            .log
            .iter()
            .map(|entry| (entry.session, &entry.reply))
            .collect();
        said.sort_by_key(|(session, _)| *session);
        let outcome = format!("{} {said:?} {unwoken:?}", self.world.digest().await);
        if !seen.insert(outcome) {
            return Some((run, Vec::new()));
        }
        let before = &self.kept[group.start].1;
        let after = self.world.state().await;
        let mut what = judge::compare(before, &after, &run.log);
        what.extend(judge::missed(&unwoken, &after));
        what.extend(self.world.contradictions().await);
        for limit in [1, 100] {
            what.extend(judge::drain(&mut self.world, &after, limit).await);
        }
        Some((run, what))
    }

    /// Nothing if the start state has not all that the operations name.
    async fn programs(&mut self, group: &Group) -> Option<Vec<Program>> {
        if !self.kept.contains_key(group.start) {
            let start = self.starts.iter().find(|start| start.name == group.start);
            let names = self.world.keep(start.expect("a start state")).await;
            let state = self.world.state().await;
            self.kept.insert(group.start, (names, state));
        }
        let names = &self.kept[group.start].0;
        let operations = group.operations.iter();
        let known = operations.clone().all(|one| self.world.can(&one.calls));
        let programs = operations.map(|one| Program::new(&one.calls, names));
        programs.collect::<Option<_>>().filter(|_| known)
    }
}

fn violation(group: &Group, run: Run, what: Vec<String>) -> Violation {
    Violation {
        start: group.start,
        operations: group.operations.iter().map(|one| one.name).collect(),
        schedule: run.schedule.to_string(),
        what,
        trace: run.trace,
    }
}

/// As many as there are processors in the smallest machine that this is for.
const PLAYERS: usize = 2;

/// Share groups between players. `tell` hears of each group.
pub fn share<W: World>(
    groups: Vec<Group>,
    tell: impl Fn(&Report) + Sync,
    make: impl AsyncFn() -> Player<W> + Sync,
) -> Report {
    let open = Mutex::new(groups.into_iter().rev().collect::<Vec<_>>());
    let report = Mutex::new(Report::default());
    let work = || {
        local(async {
            let mut player = make().await;
            loop {
                let group = open.lock().expect("a queue").pop();
                let Some(group) = group else { break };
                let explored = player.explore(&group).await;
                tell(&explored);
                report.lock().expect("a report").add(explored);
            }
        });
    };
    thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(work);
        }
    });
    report.into_inner().expect("a report")
}

/// Run what stays in this thread.
pub fn local<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, work)
}
