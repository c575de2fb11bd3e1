//! `/platform/workers`: the hosts that share the work.

use std::collections::BTreeMap;

use axum::Json;
use emporium_sdk::{
    admin::Admin,
    extract::{Json as Body, Path},
    problem::Problem,
    workers::{self, Counter, Sighting, Worker},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A running host.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct WorkerView {
    /// Different at every start.
    id: String,
    /// Where it serves HTTP.
    address: Option<String>,
    /// When it started, in milliseconds since the Unix epoch.
    since_ms: u64,
    /// Requests and events that it is handling.
    in_flight: u32,
    /// What it counted since it started.
    #[serde(default)]
    counters: BTreeMap<String, u64>,
}

/// What a host says of itself.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Announcement {
    worker: WorkerView,
    /// It is gone if nothing is heard of it for so many milliseconds.
    for_ms: u32,
}

impl Announcement {
    pub(crate) async fn make(self) -> Result<(), Problem> {
        Ok(workers::announce(self.worker.into_wit(), self.for_ms).await?)
    }
}

/// A running host, and when it was last heard of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SightingView {
    #[serde(flatten)]
    worker: WorkerView,
    /// Milliseconds since the Unix epoch.
    seen_at_ms: u64,
}

impl WorkerView {
    fn into_wit(self) -> Worker {
        let counters = self.counters.into_iter();
        Worker {
            id: self.id,
            address: self.address,
            since_ms: self.since_ms,
            in_flight: self.in_flight,
            counters: counters
                .map(|(name, value)| Counter { name, value })
                .collect(),
        }
    }
}

impl From<Sighting> for SightingView {
    fn from(sighting: Sighting) -> Self {
        let worker = sighting.worker;
        let counters = worker.counters.into_iter();
        Self {
            worker: WorkerView {
                id: worker.id,
                address: worker.address,
                since_ms: worker.since_ms,
                in_flight: worker.in_flight,
                counters: counters
                    .map(|counter| (counter.name, counter.value))
                    .collect(),
            },
            seen_at_ms: sighting.seen_at_ms,
        }
    }
}

/// List the hosts that share the work, the one that started first before others.
#[utoipa::path(get, path = "/platform/workers", tag = "operations", security(("admin" = [])),
    responses((status = 200, body = Vec<SightingView>), (status = 401, body = Problem)))]
pub(crate) async fn list(_: Admin) -> Result<Json<Vec<SightingView>>, Problem> {
    let sightings = workers::list().await?;
    Ok(Json(sightings.into_iter().map(Into::into).collect()))
}

/// Announce a host, again and again while it is alive. Nothing else is done here:
/// what went before could make a busy host look dead.
#[utoipa::path(post, path = "/platform/workers", tag = "operations",
    request_body = Announcement, security(("admin" = [])),
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn announce(
    _: Admin,
    Body(announcement): Body<Announcement>,
) -> Result<StatusCode, Problem> {
    announcement.make().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forget a host that has stopped. What it still holds is handed to others.
#[utoipa::path(delete, path = "/platform/workers/{id}", tag = "operations",
    params(("id" = String, Path)), security(("admin" = [])),
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub(crate) async fn leave(_: Admin, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    workers::leave(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
