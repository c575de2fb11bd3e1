//! Entries that kill whoever handles them: they end among the dead letters, and
//! their neighbours do not.

use std::time::Instant;

use anyhow::{Result, ensure};
use futures::FutureExt as _;

use super::EVERYWHERE;
use crate::{
    ledger::{Conduct, Entry, Outcome as Published},
    manifest::Terms,
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

pub(super) const TRAP: Scenario = Scenario {
    name: "poison-trap",
    wirings: EVERYWHERE,
    run: |setting| run(setting, Conduct::Trap).boxed(),
};

pub(super) const HOARD: Scenario = Scenario {
    name: "poison-hoard",
    wirings: EVERYWHERE,
    run: |setting| run(setting, Conduct::Hoard).boxed(),
};

pub(super) const LOOP: Scenario = Scenario {
    name: "poison-loop",
    wirings: EVERYWHERE,
    run: |setting| run(setting, Conduct::Loop).boxed(),
};

pub(super) const REJECT: Scenario = Scenario {
    name: "poison-reject",
    wirings: EVERYWHERE,
    run: |setting| run(setting, Conduct::Reject).boxed(),
};

async fn run(setting: Setting, conduct: Conduct) -> Result<Outcome> {
    let plan = Plan {
        hosts: 2,
        terms: Terms {
            lease_ms: 1_000,
            // The neighbours lose one attempt to the poison in their batch. One more
            // must not be the last, or a machine that stalls kills them too.
            max_attempts: 5,
            // A batch with poison in it is tried again one by one.
            batch: 6,
        },
        arguments: vec!["--handler-timeout", "2", "--max-memory", "64"],
    };
    let stage = Stage::open(setting, plan).await?;
    for number in 1..=setting.choose(1, 3) {
        let entries: Vec<_> = (0..6)
            .map(|account| {
                let entry = Entry::new(&format!("account-{account}"), number);
                match account {
                    3 => entry.conduct(conduct),
                    _ => entry,
                }
            })
            .collect();
        let outcome = stage.publish(entries).await?;
        ensure!(outcome == Published::Acknowledged, "{outcome:?}");
    }
    stage.conclude(Instant::now()).await
}
