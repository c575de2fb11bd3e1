//! A network between hosts and servers that is slow, breaks, or swallows.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::FutureExt as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;

use super::SERVERS;
use crate::{
    load::Load,
    proxy::Mode,
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

pub(super) const LATENCY: Scenario = Scenario {
    name: "tcp-latency",
    wirings: SERVERS,
    run: |setting| latency(setting).boxed(),
};

pub(super) const RESET: Scenario = Scenario {
    name: "tcp-reset",
    wirings: SERVERS,
    run: |setting| reset(setting).boxed(),
};

pub(super) const HALF_OPEN: Scenario = Scenario {
    name: "tcp-half-open",
    wirings: SERVERS,
    run: |setting| half_open(setting).boxed(),
};

async fn latency(setting: Setting) -> Result<Outcome> {
    let stage = Stage::open(setting, plan()).await?;
    let load = stage.load(Load::default());
    let slow = Mode::Latency(Duration::from_millis(100));
    set_all(&stage, slow);
    sleep(setting.choose(Duration::from_secs(4), Duration::from_secs(60))).await;
    set_all(&stage, Mode::Pass);
    let over = Instant::now();
    let recovery = stage.recover(over).await?;
    load.stop().await?;
    stage.conclude_after(recovery).await
}

/// Now this connection, now that, now all.
async fn reset(setting: Setting) -> Result<Outcome> {
    let stage = Stage::open(setting, plan()).await?;
    let load = stage.load(Load::default());
    let mut random = StdRng::seed_from_u64(setting.seed);
    let begun = Instant::now();
    while begun.elapsed() < setting.choose(Duration::from_secs(4), Duration::from_secs(60)) {
        sleep(Duration::from_millis(random.random_range(50..400))).await;
        for ways in stage.fleet.all_ways() {
            for way in [&ways.postgres, &ways.redis] {
                match random.random_range(0..6) {
                    0 => way.set(Mode::Refuse),
                    1 | 2 => way.reset(),
                    _ => way.set(Mode::Pass),
                }
            }
        }
    }
    set_all(&stage, Mode::Pass);
    let over = Instant::now();
    let recovery = stage.recover(over).await?;
    load.stop().await?;
    stage.conclude_after(recovery).await
}

/// One host is cut off and does not hear of it; the other one goes on.
async fn half_open(setting: Setting) -> Result<Outcome> {
    let stage = Stage::open(setting, plan()).await?;
    let load = stage.load(Load::default());
    sleep(Duration::from_secs(1)).await;
    let ways = stage.fleet.ways(0)?;
    for way in [&ways.postgres, &ways.redis] {
        way.set(Mode::HalfOpen);
    }
    sleep(setting.choose(Duration::from_secs(6), Duration::from_secs(60))).await;
    set_all(&stage, Mode::Pass);
    let over = Instant::now();
    load.stop().await?;
    stage.conclude(over).await
}

fn plan() -> Plan {
    Plan {
        hosts: 2,
        ..Plan::default()
    }
}

fn set_all(stage: &Stage, mode: Mode) {
    for ways in stage.fleet.all_ways() {
        ways.postgres.set(mode);
        ways.redis.set(mode);
    }
}
