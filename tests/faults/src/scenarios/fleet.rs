//! Several hosts on one database: they share the work, replace one another, and
//! take over from the dead.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures::FutureExt as _;
use tokio::time::sleep;

use super::SERVERS;
use crate::{
    ledger::{Conduct, Entry, Outcome as Published},
    load::Load,
    manifest::Terms,
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

const HOSTS: usize = 3;

/// The work spreads over all hosts.
pub(super) const SPREAD: Scenario = Scenario {
    name: "work-spreads",
    wirings: SERVERS,
    run: |setting| spread(setting).boxed(),
};

/// One host after the other is stopped and started under load.
pub(super) const ROLLING: Scenario = Scenario {
    name: "rolling-restart",
    wirings: SERVERS,
    run: |setting| rolling(setting).boxed(),
};

/// A host dies with long leases, and others have its work within seconds.
pub(super) const TAKEOVER: Scenario = Scenario {
    name: "dead-host",
    wirings: SERVERS,
    run: |setting| takeover(setting).boxed(),
};

async fn spread(setting: Setting) -> Result<Outcome> {
    let stage = Stage::open(setting, plan()).await?;
    // Everything at once, by one host: enough for all of them.
    let slow = Conduct::Slow {
        ms: setting.choose(1_000, 50),
        attempts: 1,
    };
    let count: u32 = setting.choose(600, 6_000);
    let entries: Vec<_> = (0..count)
        .map(|account| Entry::new(&format!("account-{account}"), 1).conduct(slow))
        .collect();
    for some in entries.chunks(200) {
        let outcome = stage.publish_through(Some(0), some.to_vec()).await?;
        ensure!(outcome == Published::Acknowledged, "{outcome:?}");
    }
    let recovery = stage.recover(Instant::now()).await?;
    let mut shares: BTreeMap<_, u32> = BTreeMap::new();
    for effect in stage.ledger.effects().await?.into_values() {
        *shares.entry(effect.worker).or_default() += 1;
    }
    let fair = count / u32::try_from(HOSTS)?;
    let workers = shares.values().filter(|share| **share > fair / 4).count();
    ensure!(workers == HOSTS, "the shares are {shares:?}");
    stage.conclude_after(recovery).await
}

async fn rolling(setting: Setting) -> Result<Outcome> {
    let mut stage = Stage::open(setting, plan()).await?;
    let load = stage.load(Load::default());
    for _ in 0..setting.choose(1, 5) {
        for host in 0..HOSTS {
            sleep(Duration::from_millis(500)).await;
            ensure!(
                stage.fleet.terminate(host)?,
                "host {host} did not stop well"
            );
            stage.fleet.start(host)?;
        }
    }
    let over = Instant::now();
    load.stop().await?;
    stage.conclude(over).await
}

async fn takeover(setting: Setting) -> Result<Outcome> {
    let mut stage = Stage::open(setting, plan()).await?;
    let mut recovery = Duration::ZERO;
    for round in 1..=setting.choose(1, 10) {
        let slow = Conduct::Slow {
            ms: 1_000,
            attempts: 1,
        };
        let entries: Vec<_> = (0..60)
            .map(|account| Entry::new(&format!("account-{account}"), round).conduct(slow))
            .collect();
        let outcome = stage.publish(entries).await?;
        ensure!(outcome == Published::Acknowledged, "{outcome:?}");
        // Long enough to have claimed, too short to have handled.
        sleep(Duration::from_millis(500)).await;
        stage.fleet.kill(0)?;
        recovery = recovery.max(stage.recover(Instant::now()).await?);
        stage.fleet.start(0)?;
    }
    ensure!(
        recovery < Duration::from_secs(25),
        "the leases of a dead host were kept for {recovery:?}"
    );
    stage.conclude_after(recovery).await
}

fn plan() -> Plan {
    Plan {
        hosts: HOSTS,
        terms: Terms::LONG_LEASES,
        ..Plan::default()
    }
}
