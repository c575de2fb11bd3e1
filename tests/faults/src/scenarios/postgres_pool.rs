//! There are fewer connections than hosts want: first for the whole server, then
//! for a pool of one.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::FutureExt as _;
use tokio::time::sleep;

use super::SERVERS;
use crate::{
    load::Load,
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "pool-exhausted",
    wirings: SERVERS,
    run: |setting| run(setting).boxed(),
};

async fn run(setting: Setting) -> Result<Outcome> {
    let plan = Plan {
        hosts: 2,
        // Every host has more requests at once than connections.
        arguments: vec!["--postgres-connections", "2"],
        ..Plan::default()
    };
    let mut stage = Stage::open(setting, plan).await?;
    let load = stage.load(Load {
        accounts: 16,
        pause: Duration::from_millis(10),
        ..Load::default()
    });
    sleep(setting.choose(Duration::from_secs(1), Duration::from_secs(20))).await;
    // One connection, for both hosts; then none.
    for count in [1, 0] {
        stage.servers()?.limit_connections(count);
        sleep(setting.choose(Duration::from_secs(2), Duration::from_secs(20))).await;
    }
    stage.servers()?.limit_connections(-1);
    let back = Instant::now();
    let recovery = stage.recover(back).await?;
    load.stop().await?;
    stage.conclude_after(recovery).await
}
