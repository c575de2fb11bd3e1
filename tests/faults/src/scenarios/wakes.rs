//! No wake arrives: the ticker alone moves the work on.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::FutureExt as _;
use tokio::time::sleep;

use super::SERVERS;
use crate::{
    load::Load,
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "wakes-dropped",
    wirings: SERVERS,
    run: |setting| run(setting).boxed(),
};

async fn run(setting: Setting) -> Result<Outcome> {
    let plan = Plan {
        hosts: 2,
        ..Plan::default()
    };
    let stage = Stage::open(setting, plan).await?;
    let drop_messages = |drops| {
        let ways = stage.fleet.all_ways();
        ways.for_each(|ways| ways.redis.drop_messages(drops));
    };
    drop_messages(true);
    let load = stage.load(Load::default());
    sleep(setting.choose(Duration::from_secs(4), Duration::from_secs(60))).await;
    load.stop().await?;
    drop_messages(false);
    let back = Instant::now();
    let dropped: usize = stage
        .fleet
        .all_ways()
        .map(|ways| ways.redis.messages())
        .sum();
    ensure!(dropped > 0, "no wake came by");
    stage.conclude(back).await
}
