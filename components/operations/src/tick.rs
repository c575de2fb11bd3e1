//! `POST /platform/tick`: wakes what is due and sweeps what is old.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::Json;
use emporium_sdk::{
    admin::Admin,
    maintenance::{self, Retention},
    problem::Problem,
};
use serde::Serialize;
use utoipa::ToSchema;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A week of events to look back on and to replay from; a day for uploads that
/// may still be referred to; a month of versions of removed documents.
const RETENTION: Retention = Retention {
    events_ms: 7 * DAY_MS,
    blobs_ms: DAY_MS,
    removals_ms: 30 * DAY_MS,
    units_ms: 7 * DAY_MS,
};

/// The minute of the last sweep by this instance. A sweep too many does no harm,
/// so nothing else guards it.
static SWEPT_MINUTE: AtomicU64 = AtomicU64::new(0);

/// What a tick did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ticked {
    /// The topics that had work.
    woken: Vec<String>,
    /// Present if this tick swept.
    #[serde(skip_serializing_if = "Option::is_none")]
    swept: Option<SweptView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SweptView {
    events: u64,
    blobs: u64,
    removals: u64,
    units: u64,
}

/// Wake every topic with due work; once a minute, sweep.
#[utoipa::path(post, path = "/platform/tick", tag = "operations", security(("admin" = [])),
    responses((status = 200, body = Ticked), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn tick(_: Admin) -> Result<Json<Ticked>, Problem> {
    let woken = maintenance::wake_due().await?;
    let minute = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 60);
    let mut swept = None;
    if SWEPT_MINUTE.swap(minute, Ordering::Relaxed) != minute {
        let found = maintenance::sweep(RETENTION).await?;
        swept = Some(SweptView {
            events: found.events,
            blobs: found.blobs,
            removals: found.removals,
            units: found.units,
        });
    }
    Ok(Json(Ticked { woken, swept }))
}
