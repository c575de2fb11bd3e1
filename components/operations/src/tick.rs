//! `POST /platform/tick`: wakes what is due, commits what was parked, and sweeps what
//! is old.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::Json;
use emporium_sdk::{
    admin::Admin, extract::Json as Body, maintenance, park, problem::Problem, workers,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{retention::retention, workers::WorkerView};

/// The minute in which this instance last swept until nothing was left. A sweep
/// too many does no harm, so nothing else guards it.
static SWEPT_MINUTE: AtomicU64 = AtomicU64::new(0);

/// How long a tick may sweep. What is left then is for the next.
const SWEEP_BUDGET: Duration = Duration::from_millis(250);

/// What a host says of itself when it ticks.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Announcement {
    worker: WorkerView,
    /// It is gone if nothing is heard of it for so many milliseconds.
    for_ms: u32,
}

/// What a tick did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ticked {
    /// The topics that had work.
    woken: Vec<String>,
    /// When something else falls due, in milliseconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_due_in_ms: Option<u64>,
    /// Present if writes were parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<ParkedReplay>,
    /// Present if this tick swept.
    #[serde(skip_serializing_if = "Option::is_none")]
    swept: Option<SweptView>,
}

/// What became of the writes that were parked.
#[derive(Debug, Serialize, ToSchema)]
struct ParkedReplay {
    committed: u64,
    rejected: u64,
    waiting: u64,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct SweptView {
    events: u64,
    /// Of subscriptions that were forgotten.
    deliveries: u64,
    blobs: u64,
    removals: u64,
    units: u64,
}

/// Wake every topic with due work; commit what was parked; from once a minute on,
/// sweep until nothing is left.
///
/// A host announces itself here. The body may be left out.
#[utoipa::path(post, path = "/platform/tick", tag = "operations", security(("admin" = [])),
    request_body = Option<Announcement>,
    responses((status = 200, body = Ticked), (status = 400, body = Problem), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn tick(
    _: Admin,
    announcement: Option<Body<Announcement>>,
) -> Result<Json<Ticked>, Problem> {
    if let Some(Body(announcement)) = announcement {
        workers::announce(announcement.worker.into_wit(), announcement.for_ms).await?;
    }
    let due = maintenance::wake_due().await?;
    let parked = replay_parked().await?;
    let swept = sweep_if_due().await?;
    Ok(Json(Ticked {
        woken: due.topics,
        next_due_in_ms: due.next_in_ms,
        parked,
        swept,
    }))
}

async fn replay_parked() -> Result<Option<ParkedReplay>, Problem> {
    let replayed = park::replay().await?;
    Ok(
        (replayed != park::Replayed::default()).then_some(ParkedReplay {
            committed: replayed.committed,
            rejected: replayed.rejected,
            waiting: replayed.waiting,
        }),
    )
}

async fn sweep_if_due() -> Result<Option<SweptView>, Problem> {
    let retention = retention().await.map_err(Problem::internal)?;
    let minute = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 60);
    if SWEPT_MINUTE.load(Ordering::Relaxed) == minute {
        return Ok(None);
    }
    let begun = Instant::now();
    let mut total = SweptView::default();
    loop {
        let swept = maintenance::sweep(retention).await?;
        total.events += swept.events;
        total.deliveries += swept.deliveries;
        total.blobs += swept.blobs;
        total.removals += swept.removals;
        total.units += swept.units;
        if !swept.more {
            SWEPT_MINUTE.store(minute, Ordering::Relaxed);
            return Ok(Some(total));
        }
        if begun.elapsed() > SWEEP_BUDGET {
            return Ok(Some(total));
        }
    }
}
