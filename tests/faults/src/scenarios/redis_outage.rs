//! Redis stops, dies, forgets everything, or stays away, under load.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::FutureExt as _;
use tokio::{task::block_in_place, time::sleep};

use super::SERVERS;
use crate::{
    load::Load,
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

#[derive(Clone, Copy)]
enum Fault {
    Terminate,
    Kill,
    Flush,
    Absent,
}

pub(super) const TERMINATED: Scenario = Scenario {
    name: "redis-terminated",
    wirings: SERVERS,
    run: |setting| run(setting, Fault::Terminate).boxed(),
};

pub(super) const KILLED: Scenario = Scenario {
    name: "redis-killed",
    wirings: SERVERS,
    run: |setting| run(setting, Fault::Kill).boxed(),
};

pub(super) const FLUSHED: Scenario = Scenario {
    name: "redis-flushed",
    wirings: SERVERS,
    run: |setting| run(setting, Fault::Flush).boxed(),
};

pub(super) const ABSENT: Scenario = Scenario {
    name: "redis-absent",
    wirings: SERVERS,
    run: |setting| run(setting, Fault::Absent).boxed(),
};

async fn run(setting: Setting, fault: Fault) -> Result<Outcome> {
    let plan = Plan {
        hosts: 2,
        ..Plan::default()
    };
    let mut stage = Stage::open(setting, plan).await?;
    let load = stage.load(Load::default());
    for _ in 0..rounds(setting, fault) {
        sleep(Duration::from_secs(1)).await;
        let servers = stage.servers()?;
        match fault {
            Fault::Flush => {
                block_in_place(|| servers.redis.command("FLUSHALL"));
            }
            Fault::Terminate => block_in_place(|| servers.redis.stop()),
            Fault::Kill | Fault::Absent => block_in_place(|| servers.redis.kill()),
        }
        sleep(match fault {
            Fault::Absent => setting.choose(Duration::from_secs(5), Duration::from_secs(60)),
            Fault::Terminate | Fault::Kill | Fault::Flush => Duration::from_millis(500),
        })
        .await;
        if !matches!(fault, Fault::Flush) {
            block_in_place(|| servers.redis.restart());
        }
    }
    let back = Instant::now();
    let recovery = stage.recover(back).await?;
    load.stop().await?;
    stage.conclude_after(recovery).await
}

fn rounds(setting: Setting, fault: Fault) -> u32 {
    match fault {
        Fault::Absent => 1,
        Fault::Terminate | Fault::Kill | Fault::Flush => setting.choose(1, 10),
    }
}
