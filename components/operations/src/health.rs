//! `GET /health`: the whole application; `/health/live` and `/health/ready`: what who
//! runs it asks; `GET /operations/health`: this service.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::extract::FromRequestParts;
use emporium_sdk::{
    admin::Admin,
    deliveries,
    health::{Check, Health},
    maintenance,
    problem::Problem,
    workers,
};
use futures::future::join_all;
use http::{header, request::Parts};
use serde_json::Value;

use crate::{lag, neighbours, retention::retention};

/// How long an answer stands for all who ask meanwhile.
const FRESH: Duration = Duration::from_secs(1);

/// The latest answer of this instance.
static LATEST: Mutex<Option<(Instant, Health)>> = Mutex::new(None);

/// Who asks. Nobody is refused, but only administrators are told causes.
pub(crate) struct Viewer {
    is_admin: bool,
}

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let is_admin = parts.headers.contains_key(header::AUTHORIZATION)
            && Admin::from_request_parts(parts, state).await.is_ok();
        Ok(Self { is_admin })
    }
}

impl Viewer {
    fn sees(&self, health: Health) -> Health {
        match self.is_admin {
            true => health.with_causes(),
            false => health,
        }
    }
}

/// Whether the application can do its work: its database and every service. That a
/// subscription is behind or paused is a warning, and no failure.
#[utoipa::path(get, path = "/health", tag = "operations", security((), ("admin" = [])),
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(crate) async fn platform(viewer: Viewer) -> Result<Health, Problem> {
    if let Some(health) = latest() {
        return Ok(viewer.sees(health));
    }
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
    let health = Health::from(checks);
    let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    *latest = Some((Instant::now(), health.clone()));
    Ok(viewer.sees(health))
}

/// Whether this process answers at all: if it does not, start it again.
#[utoipa::path(get, path = "/health/live", tag = "operations",
    responses((status = 200, body = Health)))]
pub(crate) async fn live() -> Health {
    Vec::new().into()
}

/// Whether requests can be served: if not, send them elsewhere.
#[utoipa::path(get, path = "/health/ready", tag = "operations", security((), ("admin" = [])),
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(crate) async fn ready(viewer: Viewer) -> Health {
    viewer.sees(vec![database().await, configuration().await].into())
}

/// Whether the platform's data can be reached, wakes are sent, and events are
/// handled.
#[utoipa::path(get, path = "/operations/health", tag = "operations", security((), ("admin" = [])),
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(crate) async fn own(viewer: Viewer) -> Health {
    viewer.sees(own_checks().await.into())
}

fn latest() -> Option<Health> {
    let latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    let (answered, health) = latest.as_ref()?;
    (answered.elapsed() < FRESH).then(|| health.clone())
}

async fn own_checks() -> Vec<Check> {
    // Nobody listens to this channel: that it can be published on is the check.
    let redis = deliveries::wake("health".into()).await;
    let database = database().await;
    let lag = match database.healthy {
        true => lag::warning().await,
        false => None,
    };
    vec![
        database,
        Check::of("redis", redis),
        Check::warning("lag", lag),
        configuration().await,
    ]
}

/// Whether the schema is one of ours, and the database answers. There are few
/// workers, so reading them costs next to nothing.
async fn database() -> Check {
    let looked = async {
        let migrated = maintenance::migrate().await;
        migrated.map_err(|error| error.to_string())?;
        workers::list().await.map_err(|error| error.to_string())
    };
    Check::of("database", looked.await.map(drop))
}

async fn configuration() -> Check {
    Check::of_variables(retention().await.map(drop))
}

fn first_failure(health: &Value) -> Option<String> {
    health
        .get("checks")?
        .as_array()?
        .iter()
        .filter(|check| check.get("healthy") == Some(&Value::Bool(false)))
        .find_map(|check| Some(check.get("detail")?.as_str()?.to_owned()))
}
