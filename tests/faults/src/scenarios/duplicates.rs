//! The same events again: out of order, through every host at once, and dead
//! letters replayed twice.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{
    FutureExt as _,
    future::{join, try_join_all},
};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use tokio::time::sleep;

use super::EVERYWHERE;
use crate::{
    ledger::{Conduct, Entry, Outcome as Published},
    manifest::Terms,
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

const ACCOUNTS: u32 = 10;
const ATTEMPTS: u32 = 2;

/// How long dying may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const SCENARIO: Scenario = Scenario {
    name: "duplicates-reordered",
    wirings: EVERYWHERE,
    run: |setting| run(setting).boxed(),
};

async fn run(setting: Setting) -> Result<Outcome> {
    let plan = Plan {
        hosts: 2,
        terms: Terms {
            max_attempts: ATTEMPTS,
            ..Terms::default()
        },
        ..Plan::default()
    };
    let stage = Stage::open(setting, plan).await?;
    let mut random = StdRng::seed_from_u64(setting.seed);
    let mut all = Vec::new();
    for number in 1..=setting.choose(30, 1000) {
        let accounts = 0..ACCOUNTS;
        let round: Vec<_> = accounts
            .map(|account| Entry::new(&format!("account-{account}"), number))
            .collect();
        let outcome = stage.publish(round.clone()).await?;
        ensure!(outcome == Published::Acknowledged, "{outcome:?}");
        all.extend(round);
        // Again, while it is being handled.
        all.shuffle(&mut random);
        let again: Vec<_> = all.iter().take(20).cloned().collect();
        stage.ledger.insist(&again).await?;
    }
    // Everything, from several publishers at once, each in an order of its own.
    let publishers = (0..4).map(|_| {
        all.shuffle(&mut random);
        let (all, ledger) = (all.clone(), stage.ledger.clone());
        async move {
            for some in all.chunks(50) {
                ledger.insist(some).await?;
            }
            anyhow::Ok(())
        }
    });
    try_join_all(publishers.collect::<Vec<_>>()).await?;
    replay_twice(&stage, setting.choose(10, 200)).await?;
    stage.conclude(Instant::now()).await
}

/// Have entries die that would work the next time, and replay each of them
/// twice at once. The second replay finds it alive, or handled.
async fn replay_twice(stage: &Stage, count: usize) -> Result<()> {
    // Nothing in order: the dead let those behind them by.
    let failing: Vec<_> = (0..count)
        .map(|number| {
            Entry::new(&format!("failing-{number}"), 1)
                .conduct(Conduct::Fail { attempts: ATTEMPTS })
        })
        .collect();
    stage.publish(failing).await?;
    let begun = Instant::now();
    let dead = loop {
        let dead = stage.ledger.dead().await?;
        if dead.len() == count {
            break dead;
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{} of {count} are dead",
            dead.len()
        );
        sleep(Duration::from_millis(50)).await;
    };
    for letter in &dead {
        let (first, second) = join(stage.ledger.replay(letter), stage.ledger.replay(letter)).await;
        // That which comes later may find no dead letter.
        first.or(second)?;
    }
    Ok(())
}
