//! A newer adapter migrated the database while older hosts run: they refuse it,
//! say so, and lose nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::FutureExt as _;
use tokio::time::sleep;

use super::SERVERS;
use crate::{
    ledger::{Entry, Outcome as Published},
    load::Load,
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "two-versions",
    wirings: SERVERS,
    run: |setting| run(setting).boxed(),
};

async fn run(setting: Setting) -> Result<Outcome> {
    let plan = Plan {
        hosts: 2,
        ..Plan::default()
    };
    let mut stage = Stage::open(setting, plan).await?;
    let servers = stage.servers()?;
    let version = servers.sql("SELECT version FROM emporium.schema");
    let load = stage.load(Load::default());
    sleep(Duration::from_secs(1)).await;

    let servers = stage.servers()?;
    servers.sql(&format!(
        "BEGIN; UPDATE emporium.schema SET version = 99; \
         ALTER SCHEMA emporium_{version} RENAME TO emporium_99; COMMIT"
    ));
    sleep(setting.choose(Duration::from_secs(2), Duration::from_secs(20))).await;
    let entry = Entry::new("refused", 1);
    let refused = stage.publish(vec![entry]).await?;
    ensure!(refused == Published::Unknown, "an older host took an entry");
    let said = [stage.fleet.said(0)?, stage.fleet.said(1)?].concat();
    ensure!(
        said.contains("99") && said.contains("newer"),
        "no host says what is wrong: {said}"
    );

    let servers = stage.servers()?;
    servers.sql(&format!(
        "BEGIN; UPDATE emporium.schema SET version = {version}; \
         ALTER SCHEMA emporium_99 RENAME TO emporium_{version}; COMMIT"
    ));
    let back = Instant::now();
    let recovery = stage.recover(back).await?;
    load.stop().await?;
    stage.conclude_after(recovery).await
}
