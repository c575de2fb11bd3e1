//! `/platform/dead-letters`: look at what was given up, and decide.

use axum::{Json, response::Response};
use emporium_sdk::{
    admin::Admin,
    dead_letters::{self, DeadLetter, Filter},
    extract::{Json as Body, Path, Query},
    paging::{PageOf, Paging},
    problem::Problem,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{events::decode, selection::Selection};

/// A delivery that was given up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterView {
    /// Names it in the paths here.
    id: u64,
    service: String,
    topic: String,
    event_id: String,
    #[serde(rename = "type")]
    kind: String,
    subject: Option<String>,
    attempts: u32,
    /// Why the last attempt failed.
    reason: String,
    /// Milliseconds since the Unix epoch.
    published_at_ms: u64,
    died_at_ms: u64,
    /// The whole CloudEvent.
    event: Value,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        Self {
            event: decode(&letter.envelope),
            id: letter.delivery,
            service: letter.service,
            topic: letter.topic,
            event_id: letter.event_id,
            kind: letter.kind,
            subject: letter.subject,
            attempts: letter.attempts,
            reason: letter.reason,
            published_at_ms: letter.published_at_ms,
            died_at_ms: letter.died_at_ms,
        }
    }
}

/// Which dead letters are meant. An absent member excludes none.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FilterView {
    service: Option<String>,
    topic: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl From<FilterView> for Filter {
    fn from(filter: FilterView) -> Self {
        Self {
            service: filter.service,
            topic: filter.topic,
            kind: filter.kind,
        }
    }
}

/// How many dead letters were replayed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    replayed: u32,
}

/// How many dead letters were forgotten.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Discarded {
    discarded: u32,
}

/// List dead letters, the latest death first.
#[utoipa::path(get, path = "/platform/dead-letters", tag = "operations", params(FilterView, Paging),
    security(("admin" = [])),
    responses((status = 200, body = PageOf<DeadLetterView>), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub(crate) async fn list(
    _: Admin,
    Query(filter): Query<FilterView>,
    paging: Paging,
) -> Result<Response, Problem> {
    let page = dead_letters::list(filter.into(), paging.limit, paging.cursor.clone()).await?;
    let letters = page.dead_letters.into_iter().map(DeadLetterView::from);
    Ok(paging.page(letters.collect(), page.next))
}

/// Look at one.
#[utoipa::path(get, path = "/platform/dead-letters/{id}", tag = "operations",
    params(("id" = u64, Path)), security(("admin" = [])),
    responses((status = 200, body = DeadLetterView), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn get(_: Admin, Path(id): Path<String>) -> Result<Json<DeadLetterView>, Problem> {
    let letter = dead_letters::get(parse(&id)?)
        .await?
        .ok_or_else(no_such_dead_letter)?;
    Ok(Json(letter.into()))
}

/// Make one due again, with all its attempts.
#[utoipa::path(post, path = "/platform/dead-letters/{id}/replay", tag = "operations",
    params(("id" = u64, Path)), security(("admin" = [])),
    responses((status = 202, body = Replayed), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn replay(
    _: Admin,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Replayed>), Problem> {
    match dead_letters::replay(vec![parse(&id)?], None).await? {
        0 => Err(no_such_dead_letter()),
        replayed => Ok((StatusCode::ACCEPTED, Json(Replayed { replayed }))),
    }
}

/// Make many due again, in the order of death; ask again until it says 0.
#[utoipa::path(post, path = "/platform/dead-letters/replay", tag = "operations",
    request_body = Selection, security(("admin" = [])),
    responses((status = 202, body = Replayed), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub(crate) async fn replay_selected(
    _: Admin,
    Body(selection): Body<Selection>,
) -> Result<(StatusCode, Json<Replayed>), Problem> {
    let per_second = selection.per_second()?;
    let replayed = dead_letters::replay(selection.find().await?, per_second).await?;
    Ok((StatusCode::ACCEPTED, Json(Replayed { replayed })))
}

/// Forget many; ask again until it says 0.
#[utoipa::path(post, path = "/platform/dead-letters/discard", tag = "operations",
    request_body = Selection, security(("admin" = [])),
    responses((status = 200, body = Discarded), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub(crate) async fn discard_selected(
    _: Admin,
    Body(selection): Body<Selection>,
) -> Result<Json<Discarded>, Problem> {
    selection.check_discard()?;
    let discarded = dead_letters::discard(selection.find().await?).await?;
    Ok(Json(Discarded { discarded }))
}

/// Forget one.
#[utoipa::path(delete, path = "/platform/dead-letters/{id}", tag = "operations",
    params(("id" = u64, Path)), security(("admin" = [])),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn discard(_: Admin, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    match dead_letters::discard(vec![parse(&id)?]).await? {
        0 => Err(no_such_dead_letter()),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// An id that is not a number names nothing.
fn parse(id: &str) -> Result<u64, Problem> {
    id.parse().map_err(|_| no_such_dead_letter())
}

fn no_such_dead_letter() -> Problem {
    Problem::not_found("no-such-dead-letter", "there is no dead letter of this id")
}
