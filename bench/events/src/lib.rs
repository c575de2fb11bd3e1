//! A service that writes one document for each event, to measure what the
//! platform costs.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::{
    Json, Router,
    routing::{get, post},
};
use emporium_sdk::{
    consumer::{Received, Subscription, Verdict, drain},
    document::{self, Document, Listing, Order, Selection},
    event::Message,
    extract::Query,
    problem::Problem,
    service,
    trace::Trace,
    unit::Unit,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

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
}

impl Message for Placed {
    const TOPIC: &'static str = "bench";
    const KIND: &'static str = "PLACED";

    fn subject(&self) -> Option<String> {
        None
    }
}

/// What the handler makes of it.
#[derive(Debug, Serialize, Deserialize)]
struct Handled {
    event: String,
    order: String,
    cents: u64,
    /// From just before the commit of the event until its handler began.
    latency_us: u64,
}

impl Document for Handled {
    const COLLECTION: &'static str = "handled";

    fn key(&self) -> String {
        self.event.clone()
    }
}

service! {
    routes: service::finish(
        Router::new()
            .route("/bench/events", post(publish))
            .route("/bench/batches", post(publish_batches))
            .route("/bench/latencies", get(latencies)),
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
        latency_us: now.saturating_sub(placed.sent_us),
    })?;
    Ok(unit)
}

/// Publish one event.
async fn publish(trace: Trace) -> Result<StatusCode, Problem> {
    let mut unit = Unit::new(SERVICE, trace);
    unit.publish(&placed(0))?;
    unit.commit().await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
struct Batches {
    events: u64,
    batch: u64,
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
            unit.publish(&placed(number))?;
        }
        unit.commit().await?;
    }
    Ok(Json(begun.elapsed().as_micros()))
}

/// How long events waited for their handlers.
#[derive(Serialize)]
struct Latencies {
    events: usize,
    p50_us: u64,
    p99_us: u64,
    most_us: u64,
}

async fn latencies() -> Result<Json<Latencies>, Problem> {
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
        waits.extend(page.documents.iter().map(|stored| stored.value.latency_us));
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

fn placed(number: u64) -> Placed {
    Placed {
        order: format!("order-{number:012}"),
        customer: "a customer of the usual length".into(),
        cents: 1999,
        sent_us: now_us(),
    }
}

fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}
