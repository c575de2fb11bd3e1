//! Postgres stops, dies, or ends every connection, under load.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::FutureExt as _;
use tokio::{task::block_in_place, time::sleep};

use super::SERVERS;
use crate::{
    load::{Doubt, Load},
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

#[derive(Clone, Copy)]
enum Fault {
    Restart,
    Kill,
    Storm,
}

pub(super) const RESTARTED: Scenario = Scenario {
    name: "postgres-restarted",
    wirings: SERVERS,
    run: |setting| run(setting, Fault::Restart, Doubt::GoOn).boxed(),
};

/// Publishers repeat what they are in doubt about, so that nothing may be
/// missing.
pub(super) const KILLED: Scenario = Scenario {
    name: "postgres-killed",
    wirings: SERVERS,
    run: |setting| run(setting, Fault::Kill, Doubt::Insist).boxed(),
};

pub(super) const STORM: Scenario = Scenario {
    name: "connections-terminated",
    wirings: SERVERS,
    run: |setting| run(setting, Fault::Storm, Doubt::GoOn).boxed(),
};

async fn run(setting: Setting, fault: Fault, doubt: Doubt) -> Result<Outcome> {
    let plan = Plan {
        hosts: 2,
        ..Plan::default()
    };
    let mut stage = Stage::open(setting, plan).await?;
    let load = stage.load(Load {
        doubt,
        ..Load::default()
    });
    let mut recovery = Duration::ZERO;
    for _ in 0..setting.choose(1, 10) {
        sleep(Duration::from_secs(1)).await;
        let servers = stage.servers()?;
        match fault {
            Fault::Restart => block_in_place(|| servers.postgres.restart()),
            Fault::Kill => {
                block_in_place(|| servers.postgres.kill());
                sleep(Duration::from_secs(1)).await;
                block_in_place(|| servers.postgres.restart());
            }
            Fault::Storm => {
                let begun = Instant::now();
                while begun.elapsed()
                    < setting.choose(Duration::from_secs(3), Duration::from_secs(10))
                {
                    servers.end_connections();
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        let back = Instant::now();
        recovery = recovery.max(stage.recover(back).await?);
    }
    load.stop().await?;
    stage.conclude_after(recovery).await
}
