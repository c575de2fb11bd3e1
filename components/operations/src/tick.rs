//! `POST /platform/tick`: wakes what is due, commits what was parked, and sweeps what
//! is old.

use axum::Json;
use emporium_sdk::{
    admin::Admin,
    extract::{Json as Body, Query},
    maintenance, park,
    problem::Problem,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    sweep::{self, SweptView},
    workers::Announcement,
};

/// A part of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Part {
    /// Wake every topic with due work.
    Wake,
    /// Commit what was parked, and sweep.
    TidyUp,
}

/// What a tick should do.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parts {
    /// Do this part only; all of it if absent.
    #[param(inline)]
    part: Option<Part>,
}

/// What a tick did.
#[derive(Debug, Default, Serialize, ToSchema)]
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

/// Wake every topic with due work; commit what was parked; once a minute, sweep.
///
/// `part` does one of these without the others, so that none has to wait for
/// another. A host may announce itself here too; the body may be left out.
#[utoipa::path(post, path = "/platform/tick", tag = "operations", security(("admin" = [])),
    params(Parts), request_body = Option<Announcement>,
    responses((status = 200, body = Ticked), (status = 400, body = Problem), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn tick(
    _: Admin,
    Query(Parts { part }): Query<Parts>,
    announcement: Option<Body<Announcement>>,
) -> Result<Json<Ticked>, Problem> {
    if let Some(Body(announcement)) = announcement {
        announcement.make().await?;
    }
    let mut ticked = Ticked::default();
    if part != Some(Part::TidyUp) {
        let due = maintenance::wake_due().await?;
        ticked.woken = due.topics;
        ticked.next_due_in_ms = due.next_in_ms;
    }
    if part != Some(Part::Wake) {
        // What keeps the one from being done need not keep the other.
        let (parked, swept) = (replay_parked().await, sweep::if_due().await);
        (ticked.parked, ticked.swept) = (parked?, swept?);
    }
    Ok(Json(ticked))
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
