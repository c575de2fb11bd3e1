//! The whole contract against a model: random operations, and what they have to
//! come to.
//!
//! `EMPORIUM_SEED` repeats a run, `EMPORIUM_STEPS` makes it longer or shorter.

use std::{
    collections::{BTreeMap, VecDeque},
    env,
    time::Duration,
};

use emporium_tests::{conformance, platform::*};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

mod checks;
mod claims;
mod commits;
mod served;
mod steps;
mod world;

use served::{Moment, SPAN};
use steps::Step;
use world::World;

/// Enough to meet everything several times, in seconds.
const STEPS: usize = 400;

/// How many steps a failure repeats.
const SHOWN: usize = 25;

/// No call takes longer, and no two clocks differ by more, in milliseconds.
const LONGEST_CALL: u64 = 4000;
const SLACK: u64 = 20;

/// A run: the platform, the model, and what has been done.
struct Run<'a> {
    platform: &'a Platform,
    /// Two in one host, one in another.
    instances: Vec<Instance>,
    elsewhere: Elsewhere,
    world: World,
    random: StdRng,
    /// Leases that were handed out, some of them void by now.
    leases: Vec<deliveries::Lease>,
    /// The followers of each, by delivery and attempt.
    followers: BTreeMap<(u64, u32), Vec<u64>>,
    published: u64,
    history: History,
}

/// The latest steps, printed when the run fails.
struct History {
    seed: u64,
    steps: VecDeque<String>,
}

conformance! {
    async fn every_operation_comes_to_what_the_model_says(platform) {
        let seed = number("EMPORIUM_SEED").unwrap_or_else(rand::random);
        let steps = number("EMPORIUM_STEPS").map_or(STEPS, |steps| steps as usize);
        let mut run = Run::new(platform, seed).await;
        for number in 0..steps {
            run.step(number).await;
            if number % 20 == 0 {
                run.check().await;
            }
        }
        run.check().await;
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

impl<'a> Run<'a> {
    async fn new(platform: &'a Platform, seed: u64) -> Self {
        let mut first = platform.instance().await;
        first.migrate().await.expect("a schema");
        Self {
            platform,
            instances: vec![first, platform.instance().await],
            elsewhere: platform.elsewhere().await,
            world: World {
                served: steps::subscriptions(),
                ..World::default()
            },
            random: StdRng::seed_from_u64(seed),
            leases: Vec::new(),
            followers: BTreeMap::new(),
            published: 0,
            history: History {
                seed,
                steps: VecDeque::new(),
            },
        }
    }

    async fn step(&mut self, number: usize) {
        self.await_certainty();
        let step = Step::choose(&mut self.random);
        self.history.note(format!("{number}: {step:?}"));
        self.take(step).await;
    }

    /// Any of the instances.
    fn instance(&mut self) -> &mut Instance {
        match self.random.random_range(0..3) {
            2 => &mut self.elsewhere.instance,
            place => &mut self.instances[place],
        }
    }

    /// Let time pass until nothing falls due in the next seconds, so that what a
    /// call finds does not depend on when exactly it looks.
    fn await_certainty(&mut self) {
        loop {
            let now = self.platform.now_ms();
            let soon = now.saturating_sub(SLACK)..now + LONGEST_CALL;
            let mut moments = self.world.moments();
            let span = soon.start / SPAN == soon.end / SPAN;
            if span && !moments.any(|one| one.latest >= soon.start && one.earliest <= soon.end) {
                return;
            }
            drop(moments);
            self.platform
                .advance(Duration::from_millis(LONGEST_CALL / 4));
        }
    }

    fn now(&self) -> Moment {
        let now = self.platform.now_ms();
        Moment {
            earliest: now.saturating_sub(SLACK),
            latest: now + SLACK,
        }
    }

    /// When a call happened that began at `began` and has ended.
    fn since(&self, began: Moment) -> Moment {
        Moment {
            earliest: began.earliest,
            latest: self.now().latest,
        }
    }

    fn any<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.random).expect("a choice")
    }
}

impl History {
    fn note(&mut self, step: String) {
        if self.steps.len() == SHOWN {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }

    /// Add to the latest step what came of it.
    fn add(&mut self, outcome: &impl std::fmt::Debug) {
        if let Some(step) = self.steps.back_mut() {
            step.push_str(&format!("\n    {outcome:?}"));
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("EMPORIUM_SEED={}", self.seed);
            for step in &self.steps {
                eprintln!("{step}");
            }
        }
    }
}
