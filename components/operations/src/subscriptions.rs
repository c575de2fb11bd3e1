//! `GET /platform/subscriptions`: lag and counts.

use axum::Json;
use emporium_sdk::{deliveries::AfterDeath, maintenance, problem::Problem};
use serde::Serialize;
use utoipa::ToSchema;

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
}

#[derive(Debug, Serialize, ToSchema)]
struct PolicyView {
    max_attempts: u32,
    backoff_base_ms: u64,
    backoff_cap_ms: u64,
    /// `proceed` or `block`.
    after_death: &'static str,
    pause_after: u32,
    pause_ms: u64,
}

impl From<maintenance::Status> for SubscriptionView {
    fn from(status: maintenance::Status) -> Self {
        let policy = status.subscription.policy;
        Self {
            service: status.subscription.service,
            topic: status.subscription.topic,
            policy: PolicyView {
                max_attempts: policy.max_attempts,
                backoff_base_ms: policy.backoff_base_ms,
                backoff_cap_ms: policy.backoff_cap_ms,
                after_death: match policy.after_death {
                    AfterDeath::Proceed => "proceed",
                    AfterDeath::Block => "block",
                },
                pause_after: policy.pause_after,
                pause_ms: policy.pause_ms,
            },
            pending: status.pending,
            leased: status.leased,
            delayed: status.delayed,
            dead: status.dead,
            oldest_pending_ms: status.oldest_pending_ms,
            settled: status.settled,
            retried: status.retried,
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
