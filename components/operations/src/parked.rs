//! `/platform/parked`: writes that wait for the database, or were refused.

use axum::Json;
use emporium_sdk::{
    admin::Admin,
    extract::Path,
    journal::{self, Write},
    park::{self, ParkedUnit},
    problem::Problem,
};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::events::decode;

/// A write that waits, or was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkedView {
    id: String,
    service: String,
    /// `waiting` or `rejected`.
    status: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Milliseconds since the Unix epoch.
    parked_at_ms: u64,
}

/// A parked write with what it writes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkedContent {
    #[serde(flatten)]
    parked: ParkedView,
    documents: Vec<DocumentView>,
    events: Vec<EventView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DocumentView {
    collection: String,
    key: String,
    /// Null if it is removed.
    value: Value,
}

#[derive(Debug, Serialize, ToSchema)]
struct EventView {
    topic: String,
    /// The whole CloudEvent.
    event: Value,
}

impl From<ParkedUnit> for ParkedView {
    fn from(parked: ParkedUnit) -> Self {
        Self {
            id: parked.id,
            service: parked.service,
            status: match parked.rejected {
                None => "waiting",
                Some(_) => "rejected",
            },
            reason: parked.rejected,
            parked_at_ms: parked.parked_at_ms,
        }
    }
}

impl From<ParkedUnit> for ParkedContent {
    fn from(mut parked: ParkedUnit) -> Self {
        let writes = std::mem::take(&mut parked.unit.writes);
        let events = std::mem::take(&mut parked.unit.events);
        Self {
            parked: parked.into(),
            documents: writes.into_iter().map(Into::into).collect(),
            events: events.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Write> for DocumentView {
    fn from(write: Write) -> Self {
        match write {
            Write::Put(put) => Self {
                collection: put.collection,
                key: put.key,
                value: serde_json::from_slice(&put.value).unwrap_or_default(),
            },
            Write::Remove(removal) => Self {
                collection: removal.collection,
                key: removal.key,
                value: Value::Null,
            },
        }
    }
}

impl From<journal::Event> for EventView {
    fn from(event: journal::Event) -> Self {
        Self {
            event: decode(&event.envelope),
            topic: event.topic,
        }
    }
}

/// List parked writes with their content, the one parked first before others.
#[utoipa::path(get, path = "/platform/parked", tag = "operations", security(("admin" = [])),
    responses((status = 200, body = Vec<ParkedContent>), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn list(_: Admin) -> Result<Json<Vec<ParkedContent>>, Problem> {
    let units = park::list().await?;
    Ok(Json(units.into_iter().map(Into::into).collect()))
}

/// Ask for a parked write. One that was committed is there no longer.
#[utoipa::path(get, path = "/platform/parked/{id}", tag = "operations",
    params(("id" = String, Path)),
    responses((status = 200, body = ParkedView), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn get(Path(id): Path<String>) -> Result<Json<ParkedView>, Problem> {
    let parked = park::get(&id).await?.ok_or_else(no_such_parked_write)?;
    Ok(Json(parked.into()))
}

/// Forget a parked write.
#[utoipa::path(delete, path = "/platform/parked/{id}", tag = "operations",
    params(("id" = String, Path)), security(("admin" = [])),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn discard(_: Admin, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    park::get(&id).await?.ok_or_else(no_such_parked_write)?;
    park::remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Try a write again that was refused, with the next tick.
#[utoipa::path(post, path = "/platform/parked/{id}/retry", tag = "operations",
    params(("id" = String, Path)), security(("admin" = [])),
    responses((status = 202), (status = 401, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn retry(_: Admin, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    match park::retry(&id).await? {
        true => Ok(StatusCode::ACCEPTED),
        false => Err(no_such_parked_write()),
    }
}

fn no_such_parked_write() -> Problem {
    Problem::not_found(
        "no-such-parked-write",
        "no write of this id is parked: it was committed, forgotten, or never parked",
    )
}
