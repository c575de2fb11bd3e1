//! `GET /platform/events`: what was published, decoded.

use axum::Json;
use emporium_sdk::{admin::Admin, event::Envelope, extract::Query, maintenance, problem::Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// An event as it was published.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventView {
    /// Pass it on as `after` to read what came later.
    sequence: u64,
    id: String,
    topic: String,
    #[serde(rename = "type")]
    kind: String,
    subject: Option<String>,
    /// Milliseconds since the Unix epoch.
    published_at_ms: u64,
    /// Deliveries that are neither settled nor discarded.
    unsettled: u32,
    /// The whole CloudEvent.
    event: Value,
}

impl From<maintenance::Event> for EventView {
    fn from(event: maintenance::Event) -> Self {
        Self {
            event: decode(&event.envelope),
            sequence: event.sequence,
            id: event.id,
            topic: event.topic,
            kind: event.kind,
            subject: event.subject,
            published_at_ms: event.published_at_ms,
            unsettled: event.unsettled,
        }
    }
}

/// A CloudEvent as JSON; null if it does not read as one.
pub(crate) fn decode(envelope: &[u8]) -> Value {
    Envelope::<Value>::decode(envelope)
        .ok()
        .and_then(|envelope| serde_json::to_value(envelope).ok())
        .unwrap_or(Value::Null)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Tail {
    /// Only events after this sequence number; the latest ones if absent.
    after: Option<u64>,
    /// From 1 to 500; 50 if absent.
    limit: Option<u32>,
}

/// Read events, the earliest first.
#[utoipa::path(get, path = "/platform/events", tag = "operations", params(Tail),
    security(("admin" = [])),
    responses((status = 200, body = Vec<EventView>), (status = 400, body = Problem), (status = 401, body = Problem)))]
pub(crate) async fn list(
    _: Admin,
    Query(tail): Query<Tail>,
) -> Result<Json<Vec<EventView>>, Problem> {
    let events = maintenance::events(tail.after, tail.limit.unwrap_or(50)).await?;
    Ok(Json(events.into_iter().map(Into::into).collect()))
}
