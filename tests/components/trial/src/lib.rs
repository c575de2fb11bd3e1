//! A service whose handler fails in every way a handler can, on demand.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::Path,
    response::{IntoResponse as _, Response},
    routing::{get, post, put},
};
use emporium_sdk::{
    consumer::{AfterDeath, DuringRetry, Policy, Received, Subscription, Verdict, drain},
    deliveries,
    document::{self, Document, Listing, Order, Selection},
    event::Message,
    extract::{Json as Body, Query},
    park::Outcome,
    problem::Problem,
    service,
    trace::Trace,
    unit::Unit,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

const SERVICE: &str = "trial";

/// Short, so that tests are.
const TRIALS: Subscription = Subscription {
    policy: Policy {
        max_attempts: 3,
        backoff_base_ms: 20,
        backoff_cap_ms: 100,
        during_retry: DuringRetry::Block,
        after_death: AfterDeath::Proceed,
        pause_after: 20,
        pause_ms: 60_000,
    },
    lease: Duration::from_secs(1),
    batch: 10,
    ..Subscription::new(SERVICE, "trial")
};

/// Long, so that waiting for its lease to run out would be noticed.
const SLOW: Subscription = Subscription {
    lease: Duration::from_secs(60),
    ..Subscription::new(SERVICE, "slow")
};

/// What the handler should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Work,
    /// Trap, until the fault is fixed.
    Trap,
    /// Never come back, until the fault is fixed.
    Loop,
    /// Ask for more memory than there is, until the fault is fixed.
    Hoard,
    /// Say that trying again may help.
    Fail,
    /// Say that it never will.
    Reject,
}

/// One trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Trial {
    name: String,
    /// The ordering key.
    key: Option<String>,
    mode: Mode,
}

impl Message for Trial {
    const TOPIC: &'static str = "trial";
    const KIND: &'static str = "TRIAL";

    fn subject(&self) -> Option<String> {
        self.key.clone()
    }
}

/// A trial whose first attempt does not end.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SlowTrial {
    name: String,
}

impl Message for SlowTrial {
    const TOPIC: &'static str = "slow";
    const KIND: &'static str = "SLOW";

    fn subject(&self) -> Option<String> {
        None
    }
}

/// What a trial left behind.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Effect {
    name: String,
    event: String,
    /// How often it happened; once, if the platform keeps its word.
    times: u32,
}

impl Document for Effect {
    const COLLECTION: &'static str = "effects";

    fn key(&self) -> String {
        self.name.clone()
    }
}

/// That a trial was published, or parked.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    name: String,
}

impl Document for Note {
    const COLLECTION: &'static str = "notes";

    fn key(&self) -> String {
        self.name.clone()
    }
}

/// Present once the fault is fixed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Fixed {}

impl Document for Fixed {
    const COLLECTION: &'static str = "fixed";

    fn key(&self) -> String {
        "fixed".into()
    }
}

service! {
    routes: service::finish(
        Router::new()
            .route("/trial/trials", post(publish))
            .route("/trial/slow-trials", post(publish_slow))
            .route("/trial/parked-trials", post(publish_or_park))
            .route("/trial/effects", get(list))
            .route("/trial/effects/{name}", get(one))
            .route("/trial/fixed", put(fix))
            .route("/trial/loop", get(run_for_ever)),
    ),
    wakes: react(),
}

async fn react() -> Result<(), deliveries::Error> {
    drain(&TRIALS, on_trial).await?;
    drain(&SLOW, on_slow_trial).await
}

async fn publish(trace: Trace, Body(trials): Body<Vec<Trial>>) -> Result<StatusCode, Problem> {
    let mut unit = Unit::new(SERVICE, trace);
    for trial in &trials {
        unit.publish(trial)?;
    }
    unit.commit().await?;
    Ok(StatusCode::ACCEPTED)
}

async fn publish_slow(trace: Trace, Body(trial): Body<SlowTrial>) -> Result<StatusCode, Problem> {
    let mut unit = Unit::new(SERVICE, trace);
    unit.publish(&trial)?;
    unit.commit().await?;
    Ok(StatusCode::ACCEPTED)
}

/// As `publish`, with a document for each that must not be there yet.
async fn publish_or_park(
    trace: Trace,
    Body(trials): Body<Vec<Trial>>,
) -> Result<Response, Problem> {
    let mut unit = Unit::new(SERVICE, trace);
    for trial in &trials {
        unit.create(&Note {
            name: trial.name.clone(),
        })?;
        unit.publish(trial)?;
    }
    Ok(match unit.commit_or_park().await? {
        Outcome::Committed(_) => StatusCode::CREATED.into_response(),
        Outcome::Parked(parked) => parked.into_response(),
    })
}

#[derive(Deserialize)]
struct Part {
    cursor: Option<String>,
}

async fn list(Query(part): Query<Part>) -> Result<Json<(Vec<Effect>, Option<String>)>, Problem> {
    let page = document::list::<Effect>(Listing {
        selection: Selection::Every,
        order: Order::Ascending,
        limit: 500,
        cursor: part.cursor,
    })
    .await?;
    let effects = page.documents.into_iter().map(|stored| stored.value);
    Ok(Json((effects.collect(), page.next)))
}

async fn one(Path(name): Path<String>) -> Result<Json<Effect>, Problem> {
    let effect = document::get::<Effect>(name).await?;
    let effect = effect.ok_or_else(|| Problem::not_found("no-such-effect", "not yet"))?;
    Ok(Json(effect.value))
}

async fn fix(trace: Trace) -> Result<StatusCode, Problem> {
    let mut unit = Unit::new(SERVICE, trace);
    unit.overwrite(&Fixed {})?;
    unit.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Never answers: for the deadline of the host.
async fn run_for_ever() {
    spin();
}

async fn on_trial(received: &Received) -> Result<Unit, Verdict> {
    let trial: Trial = received.data()?;
    let is_fixed = document::get::<Fixed>("fixed").await?.is_some();
    match trial.mode {
        Mode::Trap if !is_fixed => std::process::abort(),
        Mode::Loop if !is_fixed => spin(),
        Mode::Hoard if !is_fixed => hoard(),
        Mode::Fail => return Err(Verdict::retry("asked to fail")),
        Mode::Reject => return Err(Verdict::reject("asked to reject")),
        Mode::Work | Mode::Trap | Mode::Loop | Mode::Hoard => {}
    }
    let mut unit = received.unit();
    match document::get::<Effect>(&trial.name).await? {
        None => unit.create(&Effect {
            name: trial.name,
            event: received.id().into(),
            times: 1,
        })?,
        Some(mut effect) => {
            effect.value.times += 1;
            unit.update(&effect)?;
        }
    }
    Ok(unit)
}

async fn on_slow_trial(received: &Received) -> Result<Unit, Verdict> {
    let trial: SlowTrial = received.data()?;
    if received.attempt() == 1 {
        spin_sdk::time::sleep(Duration::from_secs(600)).await;
    }
    let mut unit = received.unit();
    unit.create(&Effect {
        name: trial.name,
        event: received.id().into(),
        times: 1,
    })?;
    Ok(unit)
}

fn spin() {
    loop {
        std::hint::black_box(());
    }
}

fn hoard() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1_u8; 16 << 20]));
    }
}
