//! `kill -9` of a host at the moments at which it matters most.
//!
//! There are two hosts. The first one dies; what it held has to be taken over by
//! the second, before the first comes back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::FutureExt as _;
use tokio::time::timeout;

use super::SERVERS;
use crate::{
    ledger::{Conduct, Entry, Outcome as Published},
    load::Load,
    manifest::Terms,
    proxy::Moment,
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

/// How long the moment may be waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// When a claim was answered with entries, and the host does not know it yet.
pub(super) const BEFORE_EFFECT: Scenario = Scenario {
    name: "kill-before-effect",
    wirings: SERVERS,
    run: |setting| {
        let moment = Moment::AfterStatement {
            text: ".claim(",
            reply: "account-",
        };
        kill_consumer(setting, moment).boxed()
    },
};

/// When the units of handled entries are about to be committed.
pub(super) const BEFORE_COMMIT: Scenario = Scenario {
    name: "kill-before-commit",
    wirings: SERVERS,
    run: |setting| kill_consumer(setting, Moment::BeforeStatement(".commit(")).boxed(),
};

/// When the units of handled entries are committed, and the host does not know
/// it yet.
pub(super) const AFTER_COMMIT: Scenario = Scenario {
    name: "kill-after-commit",
    wirings: SERVERS,
    run: |setting| {
        let moment = Moment::AfterStatement {
            text: ".commit(",
            reply: "",
        };
        kill_consumer(setting, moment).boxed()
    },
};

/// When published entries are committed, and nobody was told of them.
pub(super) const BEFORE_WAKE: Scenario = Scenario {
    name: "kill-before-wake",
    wirings: SERVERS,
    run: |setting| kill_publisher(setting).boxed(),
};

async fn kill_consumer(setting: Setting, moment: Moment) -> Result<Outcome> {
    let mut stage = Stage::open(setting, plan()).await?;
    let load = stage.load(Load {
        // So that both hosts have something to do.
        conduct: Conduct::Slow { ms: 5, attempts: 1 },
        through: Some(1),
        ..Load::default()
    });
    let mut recovery = Duration::ZERO;
    for _ in 0..setting.choose(1, 10) {
        let mut trap = stage.fleet.ways(0)?.postgres.arm(moment);
        let sprung = timeout(PATIENCE, trap.sprung()).await;
        ensure!(sprung.context("the moment does not come")?, "no trap");
        let died = Instant::now();
        stage.fleet.kill(0)?;
        drop(trap);
        recovery = recovery.max(stage.recover(died).await?);
        stage.fleet.start(0)?;
    }
    load.stop().await?;
    stage.conclude_after(recovery).await
}

async fn kill_publisher(setting: Setting) -> Result<Outcome> {
    let mut stage = Stage::open(setting, plan()).await?;
    let mut recovery = Duration::ZERO;
    let (mut number, mut committed) = (0, 0);
    // The wake may also be one of another event.
    while committed < setting.choose(1, 10) {
        number += 1;
        let mut trap = stage.fleet.ways(0)?.redis.arm(Moment::BeforePublish);
        let entry = Entry::new("unannounced", number);
        let (ledger, entries) = (stage.ledger.clone(), vec![entry]);
        let publishing = tokio::spawn({
            let entries = entries.clone();
            async move { ledger.publish_through(Some(0), &entries).await }
        });
        let sprung = timeout(PATIENCE, trap.sprung()).await;
        ensure!(sprung.context("the moment does not come")?, "no trap");
        let died = Instant::now();
        stage.fleet.kill(0)?;
        drop(trap);
        let outcome = publishing.await??;
        ensure!(outcome == Published::Unknown, "a dead host answered");
        // The publisher does not know whether this was after the commit. If it
        // was, to lose the entry would be a violation.
        let find =
            format!("SELECT count(*) FROM emporium.events WHERE id = 'unannounced-{number}'");
        let is_committed = stage.servers()?.sql(&find) == "1";
        committed += u32::from(is_committed);
        let outcome = match is_committed {
            true => Published::Acknowledged,
            false => Published::Unknown,
        };
        stage.record.add(entries, outcome);
        recovery = recovery.max(stage.recover(died).await?);
        stage.fleet.start(0)?;
    }
    stage.conclude_after(recovery).await
}

fn plan() -> Plan {
    Plan {
        hosts: 2,
        terms: Terms::LONG_LEASES,
        ..Plan::default()
    }
}
