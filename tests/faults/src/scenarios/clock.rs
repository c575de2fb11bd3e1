//! Clocks that jump an hour ahead and back, under load: that of the guests, and
//! that of the database.

use std::time::{Duration, Instant};

use anyhow::Result;
use emporium_tests::app::App;
use futures::FutureExt as _;
use tokio::time::sleep;

use super::{EMBEDDED, SERVERS};
use crate::{
    load::Load,
    manifest::{self, Terms},
    scenario::{Outcome, Scenario, Setting},
    stage::{Plan, Stage},
};

const HOUR: Duration = Duration::from_secs(3600);

/// The embedded platform takes the time from its guests.
pub(super) const GUESTS: Scenario = Scenario {
    name: "clock-of-guests",
    wirings: EMBEDDED,
    run: |setting| of_guests(setting).boxed(),
};

/// On servers the time is that of Postgres.
pub(super) const DATABASE: Scenario = Scenario {
    name: "clock-of-database",
    wirings: SERVERS,
    run: |setting| of_database(setting).boxed(),
};

async fn of_guests(setting: Setting) -> Result<Outcome> {
    // In this process, whose clock for guests can be moved.
    let app = App::of(manifest::text(setting.wiring, Terms::default())?).await;
    let stage = Stage::of_app(setting, &app).await?;
    let load = stage.load(Load::default());
    for _ in 0..setting.choose(1, 10) {
        sleep(setting.choose(Duration::from_secs(1), Duration::from_secs(5))).await;
        app.clock.advance(HOUR);
        sleep(setting.choose(Duration::from_secs(1), Duration::from_secs(5))).await;
        app.clock.set_back(HOUR + HOUR);
        sleep(setting.choose(Duration::from_secs(1), Duration::from_secs(5))).await;
        app.clock.advance(HOUR);
    }
    let over = Instant::now();
    let recovery = stage.recover(over).await?;
    load.stop().await?;
    stage.conclude_after(recovery).await
}

async fn of_database(setting: Setting) -> Result<Outcome> {
    let plan = Plan {
        hosts: 2,
        ..Plan::default()
    };
    let stage = Stage::open(setting, plan).await?;
    let load = stage.load(Load::default());
    let hour = HOUR.as_millis();
    for _ in 0..setting.choose(1, 10) {
        for ahead in [format!("{hour}"), format!("-{hour}"), "0".into()] {
            set_clock(&stage, &ahead);
            sleep(setting.choose(Duration::from_secs(1), Duration::from_secs(5))).await;
        }
    }
    let over = Instant::now();
    let recovery = stage.recover(over).await?;
    load.stop().await?;
    stage.conclude_after(recovery).await
}

/// Let the clock of the database be ahead by so many milliseconds.
fn set_clock(stage: &Stage, ahead_ms: &str) {
    let now = format!(
        "CREATE OR REPLACE FUNCTION emporium.now_ms() RETURNS bigint LANGUAGE sql VOLATILE \
         AS 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + ({ahead_ms})'"
    );
    if let Some(servers) = &stage.servers {
        servers.sql(&now);
    }
}
