//! `GET /health`: the whole application; `GET /operations/health`: this service.

use emporium_sdk::{
    deliveries,
    health::{Check, Health},
    maintenance::{self, Status},
    problem::Problem,
};
use futures::future::join_all;
use serde_json::Value;

use crate::{neighbours, retention::retention};

/// How long an event may be due before its subscription counts as behind.
const LAG_LIMIT_MS: u64 = 60_000;

/// Whether the application can do its work: its database and every service.
#[utoipa::path(get, path = "/health", tag = "operations",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(crate) async fn platform() -> Result<Health, Problem> {
    let mut checks = own_checks().await;
    let ids = neighbours::ids().await?;
    let asked = ids.iter().map(|id| async move {
        let answer = neighbours::ask(id, &format!("/{id}/health")).await;
        Check::of(
            id.clone(),
            answer.and_then(|(status, value)| {
                if status.is_success() {
                    Ok(())
                } else {
                    Err(first_failure(&value).unwrap_or_else(|| status.to_string()))
                }
            }),
        )
    });
    checks.extend(join_all(asked).await);
    Ok(checks.into())
}

/// Whether the platform's data can be reached, wakes are sent, and events are
/// handled.
#[utoipa::path(get, path = "/operations/health", tag = "operations",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(crate) async fn own() -> Health {
    own_checks().await.into()
}

async fn own_checks() -> Vec<Check> {
    // Nobody listens to this channel: that it can be published on is the check.
    let redis = deliveries::wake("health".into()).await;
    let lag = match maintenance::subscriptions().await {
        Ok(statuses) => lag(&statuses),
        Err(error) => Err(error.to_string()),
    };
    vec![
        database().await,
        Check::of("redis", redis),
        Check::of("lag", lag),
        Check::of("configuration", retention().await.map(drop)),
    ]
}

/// Which subscription is behind, if any.
fn lag(statuses: &[Status]) -> Result<(), String> {
    match statuses
        .iter()
        .find(|status| status.oldest_pending_ms > LAG_LIMIT_MS)
    {
        None => Ok(()),
        Some(status) => Err(format!(
            "`{}` is {} s behind on `{}`",
            status.subscription.service,
            status.oldest_pending_ms / 1000,
            status.subscription.topic
        )),
    }
}

async fn database() -> Check {
    Check::of("database", maintenance::migrate().await.map(drop))
}

fn first_failure(health: &Value) -> Option<String> {
    health
        .get("checks")?
        .as_array()?
        .iter()
        .find_map(|check| Some(check.get("detail")?.as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use emporium_sdk::{
        deliveries::{AfterDeath, DuringRetry, Policy, Subscription},
        maintenance::Histogram,
    };

    use super::*;

    fn waiting(oldest_pending_ms: u64) -> Status {
        Status {
            subscription: Subscription {
                service: "media".into(),
                topic: "image".into(),
                policy: Policy {
                    max_attempts: 1,
                    backoff_base_ms: 1,
                    backoff_cap_ms: 1,
                    during_retry: DuringRetry::Block,
                    after_death: AfterDeath::Proceed,
                    pause_after: 0,
                    pause_ms: 0,
                },
            },
            pending: 1,
            leased: 0,
            delayed: 0,
            dead: 0,
            oldest_pending_ms,
            settled: 0,
            retried: 0,
            latency: Histogram {
                counts: Vec::new(),
                sum_ms: 0,
                longest_ms: 0,
            },
            paused: None,
        }
    }

    #[test]
    fn a_subscription_that_is_behind_is_named() {
        assert_eq!(lag(&[waiting(1000)]), Ok(()));
        let behind = lag(&[waiting(0), waiting(61_000)]);
        assert_eq!(behind, Err("`media` is 61 s behind on `image`".into()));
    }
}
