//! `kill -9` of a host every few seconds, under load.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::FutureExt as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;

use super::EVERYWHERE;
use crate::{
    load::Load,
    manifest::Terms,
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

const PERIOD: Duration = Duration::from_secs(3);

pub(super) const SCENARIO: Scenario = Scenario {
    name: "kill-storm",
    wirings: EVERYWHERE,
    run: |setting| run(setting).boxed(),
};

async fn run(setting: Setting) -> Result<Outcome> {
    let plan = Plan {
        hosts: 2,
        terms: Terms::LONG_LEASES,
        ..Plan::default()
    };
    let mut stage = Stage::open(setting, plan).await?;
    let load = stage.load(Load::default());
    let mut random = StdRng::seed_from_u64(setting.seed);
    let length = setting.choose(Duration::from_secs(12), Duration::from_secs(120));
    let begun = Instant::now();
    let mut last = begun;
    while begun.elapsed() < length {
        sleep(PERIOD.mul_f64(random.random_range(0.8..1.2))).await;
        let victim = random.random_range(0..stage.fleet.members.len());
        stage.fleet.kill(victim)?;
        last = Instant::now();
        stage.fleet.start(victim)?;
    }
    load.stop().await?;
    stage.conclude(last).await
}
