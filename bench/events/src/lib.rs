//! A service that writes one document for each event, to measure what the
//! platform costs. `scripts/bench-events` calls it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::{
    Json, Router,
    routing::{get, post},
};
use emporium_sdk::{
    consumer::{Received, Subscription, Verdict, drain},
    document::{self, Document, Listing, Order, Selection},
    event::Message,
    extract::{Path, Query},
    problem::Problem,
    service,
    trace::Trace,
    unit::Unit,
};
use futures::future::try_join_all;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use spin_sdk::time::sleep;

const SERVICE: &str = "bench";

const SUBSCRIPTION: Subscription = Subscription {
    batch: 250,
    ..Subscription::new(SERVICE, "bench")
};

/// What an order of a shop may carry.
#[derive(Debug, Serialize, Deserialize)]
struct Placed {
    order: String,
    customer: String,
    cents: u64,
    /// Microseconds since the Unix epoch.
    sent_us: u64,
    /// The ordering key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl Message for Placed {
    const TOPIC: &'static str = "bench";
    const KIND: &'static str = "PLACED";

    fn subject(&self) -> Option<String> {
        self.key.clone()
    }
}

/// What the handler makes of it.
#[derive(Debug, Serialize, Deserialize)]
struct Handled {
    event: String,
    order: String,
    cents: u64,
    sent_us: u64,
    /// From just before the commit of the event until its handler began.
    latency_us: u64,
}

impl Document for Handled {
    const COLLECTION: &'static str = "handled";

    fn key(&self) -> String {
        self.event.clone()
    }
}

/// What is only read.
#[derive(Debug, Serialize, Deserialize)]
struct Article {
    id: u64,
    title: String,
    text: String,
}

impl Document for Article {
    const COLLECTION: &'static str = "articles";

    fn key(&self) -> String {
        self.id.to_string()
    }
}

service! {
    routes: service::finish(
        Router::new()
            .route("/bench/events", post(publish))
            .route("/bench/batches", post(publish_batches))
            .route("/bench/steady", post(publish_steadily))
            .route("/bench/latencies", get(latencies))
            .route("/bench/articles", post(write_articles))
            .route("/bench/articles/{id}", get(read_article)),
    ),
    wakes: drain(&SUBSCRIPTION, on_placed),
}

async fn on_placed(received: &Received) -> Result<Unit, Verdict> {
    let now = now_us();
    let placed: Placed = received.data()?;
    let mut unit = received.unit();
    unit.create(&Handled {
        event: received.id().into(),
        order: placed.order,
        cents: placed.cents,
        sent_us: placed.sent_us,
        latency_us: now.saturating_sub(placed.sent_us),
    })?;
    Ok(unit)
}

/// Publish one event.
async fn publish(trace: Trace) -> Result<StatusCode, Problem> {
    let mut unit = Unit::new(SERVICE, trace);
    unit.publish(&placed(0, None))?;
    unit.commit().await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
struct Batches {
    events: u64,
    batch: u64,
    key: Option<String>,
}

/// Publish many, so many in each commit. Returns the microseconds it took.
async fn publish_batches(
    trace: Trace,
    Query(wanted): Query<Batches>,
) -> Result<Json<u128>, Problem> {
    let begun = Instant::now();
    for first in (0..wanted.events).step_by(wanted.batch.max(1) as usize) {
        let mut unit = Unit::new(SERVICE, trace);
        for number in first..wanted.events.min(first + wanted.batch) {
            unit.publish(&placed(number, wanted.key.clone()))?;
        }
        unit.commit().await?;
    }
    Ok(Json(begun.elapsed().as_micros()))
}

#[derive(Deserialize)]
struct Pace {
    events: u32,
    per_second: u32,
}

/// Publish so many at that pace, whether or not those before are committed.
/// Returns the microseconds since the Unix epoch at which it began.
async fn publish_steadily(trace: Trace, Query(wanted): Query<Pace>) -> Result<Json<u64>, Problem> {
    let (begun, since_us) = (Instant::now(), now_us());
    let publishing = (0..wanted.events).map(async |number| {
        let due = Duration::from_secs(number.into()) / wanted.per_second.max(1);
        sleep(due.saturating_sub(begun.elapsed())).await;
        let mut unit = Unit::new(SERVICE, trace);
        unit.publish(&placed(number.into(), None))?;
        unit.commit().await?;
        Ok::<_, Problem>(())
    });
    try_join_all(publishing).await?;
    Ok(Json(since_us))
}

#[derive(Deserialize)]
struct Articles {
    count: u64,
}

async fn write_articles(
    trace: Trace,
    Query(wanted): Query<Articles>,
) -> Result<StatusCode, Problem> {
    for first in (0..wanted.count).step_by(100) {
        let mut unit = Unit::new(SERVICE, trace);
        for id in first..wanted.count.min(first + 100) {
            unit.create(&Article {
                id,
                title: "a document".into(),
                text: "about one hundred bytes of json, as a small document would carry it".into(),
            })?;
        }
        unit.commit().await?;
    }
    Ok(StatusCode::CREATED)
}

async fn read_article(Path(id): Path<u64>) -> Result<Json<Article>, Problem> {
    match document::get::<Article>(id.to_string()).await? {
        Some(stored) => Ok(Json(stored.value)),
        None => Err(Problem::not_found(
            "no-such-article",
            format!("there is no article {id}"),
        )),
    }
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since_us: u64,
}

/// How long events waited for their handlers.
#[derive(Serialize)]
struct Latencies {
    events: usize,
    p50_us: u64,
    p99_us: u64,
    most_us: u64,
}

async fn latencies(Query(wanted): Query<Since>) -> Result<Json<Latencies>, Problem> {
    let mut waits = Vec::new();
    let mut cursor = None;
    loop {
        let page = document::list::<Handled>(Listing {
            selection: Selection::Every,
            order: Order::Ascending,
            limit: 500,
            cursor,
        })
        .await?;
        let handled = page.documents.iter().map(|stored| &stored.value);
        let handled = handled.filter(|handled| handled.sent_us >= wanted.since_us);
        waits.extend(handled.map(|handled| handled.latency_us));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    waits.sort_unstable();
    let quantile = |share: f64| {
        let at = (waits.len() as f64 * share) as usize;
        waits.get(at).copied().unwrap_or_default()
    };
    Ok(Json(Latencies {
        events: waits.len(),
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
        most_us: waits.last().copied().unwrap_or_default(),
    }))
}

fn placed(number: u64, key: Option<String>) -> Placed {
    Placed {
        order: format!("order-{number:012}"),
        customer: "a customer of the usual length".into(),
        cents: 1999,
        sent_us: now_us(),
        key,
    }
}

fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}
