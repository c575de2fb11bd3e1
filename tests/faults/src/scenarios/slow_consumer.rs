//! Consumers that are slower than their leases: what they decide comes too late.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::FutureExt as _;

use super::EVERYWHERE;
use crate::{
    ledger::{Conduct, Entry, Outcome as Published},
    manifest::Terms,
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

/// The shortest that there is.
const LEASE: Duration = Duration::from_secs(1);

pub(super) const SCENARIO: Scenario = Scenario {
    name: "slow-consumer",
    wirings: EVERYWHERE,
    run: |setting| run(setting).boxed(),
};

async fn run(setting: Setting) -> Result<Outcome> {
    let plan = Plan {
        hosts: 2,
        terms: Terms {
            lease_ms: u32::try_from(LEASE.as_millis())?,
            ..Terms::default()
        },
        ..Plan::default()
    };
    let stage = Stage::open(setting, plan).await?;
    let slow = Conduct::Slow {
        ms: 2_500,
        attempts: 1,
    };
    let mut recovery = Duration::ZERO;
    for number in 1..=setting.choose(2, 20) {
        // The first one keeps those behind it waiting, but must not let them by.
        let entries: Vec<_> = (0..6)
            .flat_map(|account| {
                let account = format!("account-{account}");
                [
                    Entry::new(&account, 2 * number - 1).conduct(slow),
                    Entry::new(&account, 2 * number),
                ]
            })
            .collect();
        let outcome = stage.publish(entries).await?;
        ensure!(outcome == Published::Acknowledged, "{outcome:?}");
        recovery = recovery.max(stage.recover(Instant::now()).await?);
    }
    stage.conclude_after(recovery).await
}
