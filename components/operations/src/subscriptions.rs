//! `/platform/subscriptions`: lag and counts, pause, resume and forget.

use axum::Json;
use emporium_sdk::{
    admin::Admin,
    deliveries::{AfterDeath, DuringRetry, Policy},
    extract::{Json as Body, Path},
    maintenance::{self, Suspension},
    problem::Problem,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::latency::LatencyView;

/// How a subscription is doing. Times are in milliseconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubscriptionView {
    service: String,
    topic: String,
    policy: PolicyView,
    /// Due, and waiting to be claimed or for an earlier one with its key.
    pending: u64,
    /// Being handled.
    leased: u64,
    /// Due later.
    delayed: u64,
    dead: u64,
    oldest_pending_ms: u64,
    settled: u64,
    retried: u64,
    /// From the moment a delivery first fell due until it was settled. Absent
    /// while nothing was settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<LatencyView>,
    /// Present while nothing is handed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PolicyView {
    max_attempts: u32,
    backoff_base_ms: u64,
    backoff_cap_ms: u64,
    /// What becomes of an ordering key while one of its deliveries waits for
    /// its next attempt: `proceed` or `block`.
    during_retry: &'static str,
    /// What becomes of an ordering key when one of its deliveries dies:
    /// `proceed` or `block`.
    after_death: &'static str,
    /// So many deaths within a minute begin a pause, unless more deliveries were
    /// settled in it; 0 is never.
    pause_after: u32,
    pause_ms: u64,
}

/// Why nothing is handed out. Moments are in milliseconds since the Unix epoch.
#[derive(Debug, Serialize, ToSchema)]
struct PauseView {
    since_ms: u64,
    /// Absent if it lasts until somebody ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    reason: String,
}

/// How long to pause.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct Pause {
    /// Until it is resumed, if absent.
    for_ms: Option<u64>,
}

/// Whether there was a pause to end.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Resumed {
    resumed: bool,
}

impl From<maintenance::Status> for SubscriptionView {
    fn from(status: maintenance::Status) -> Self {
        Self {
            service: status.subscription.service,
            topic: status.subscription.topic,
            policy: status.subscription.policy.into(),
            pending: status.pending,
            leased: status.leased,
            delayed: status.delayed,
            dead: status.dead,
            oldest_pending_ms: status.oldest_pending_ms,
            settled: status.settled,
            retried: status.retried,
            latency: LatencyView::estimate(&status.latency),
            paused: status.paused.map(Into::into),
        }
    }
}

impl From<Policy> for PolicyView {
    fn from(policy: Policy) -> Self {
        Self {
            max_attempts: policy.max_attempts,
            backoff_base_ms: policy.backoff_base_ms,
            backoff_cap_ms: policy.backoff_cap_ms,
            during_retry: match policy.during_retry {
                DuringRetry::Proceed => "proceed",
                DuringRetry::Block => "block",
            },
            after_death: match policy.after_death {
                AfterDeath::Proceed => "proceed",
                AfterDeath::Block => "block",
            },
            pause_after: policy.pause_after,
            pause_ms: policy.pause_ms,
        }
    }
}

impl From<Suspension> for PauseView {
    fn from(suspension: Suspension) -> Self {
        Self {
            since_ms: suspension.since_ms,
            until_ms: suspension.until_ms,
            reason: suspension.reason,
        }
    }
}

/// Report on every subscription.
#[utoipa::path(get, path = "/platform/subscriptions", tag = "operations",
    responses((status = 200, body = Vec<SubscriptionView>)))]
pub(crate) async fn list() -> Result<Json<Vec<SubscriptionView>>, Problem> {
    let statuses = maintenance::subscriptions().await?;
    Ok(Json(statuses.into_iter().map(Into::into).collect()))
}

/// Hand out nothing more, for a while or until it is resumed.
#[utoipa::path(post, path = "/platform/subscriptions/{service}/{topic}/pause", tag = "operations",
    params(("service" = String, Path), ("topic" = String, Path)), request_body = Option<Pause>,
    security(("admin" = [])),
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn pause(
    _: Admin,
    Path((service, topic)): Path<(String, String)>,
    pause: Option<Body<Pause>>,
) -> Result<StatusCode, Problem> {
    check_names(&service, &topic)?;
    let Body(pause) = pause.unwrap_or(Body(Pause::default()));
    match maintenance::pause(service, topic, pause.for_ms).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_such_subscription()),
    }
}

/// End a subscription whose service was renamed or removed: what it is owed keeps
/// events from being swept. Its dead letters are gone too. A service that claims
/// again begins anew, with every event that is kept.
#[utoipa::path(delete, path = "/platform/subscriptions/{service}/{topic}", tag = "operations",
    params(("service" = String, Path), ("topic" = String, Path)), security(("admin" = [])),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn forget(
    _: Admin,
    Path((service, topic)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    check_names(&service, &topic)?;
    match maintenance::forget(service, topic).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_such_subscription()),
    }
}

/// Refuse what cannot be the name of anything, and what not every database takes as
/// text.
fn check_names(service: &str, topic: &str) -> Result<(), Problem> {
    let is_name = |name: &str| !name.contains(char::is_control);
    match is_name(service) && is_name(topic) {
        true => Ok(()),
        false => Err(no_such_subscription()),
    }
}

fn no_such_subscription() -> Problem {
    Problem::not_found(
        "no-such-subscription",
        "this service has not subscribed to this topic",
    )
}

/// End a pause. Doing so again is harmless.
#[utoipa::path(post, path = "/platform/subscriptions/{service}/{topic}/resume", tag = "operations",
    params(("service" = String, Path), ("topic" = String, Path)), security(("admin" = [])),
    responses((status = 200, body = Resumed), (status = 401, body = Problem)))]
pub(crate) async fn resume(
    _: Admin,
    Path((service, topic)): Path<(String, String)>,
) -> Result<Json<Resumed>, Problem> {
    let resumed = match check_names(&service, &topic) {
        Ok(()) => maintenance::resume(service, topic).await?,
        Err(_) => false,
    };
    Ok(Json(Resumed { resumed }))
}
