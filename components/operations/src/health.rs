//! `GET /health`: the whole application; `GET /operations/health`: this service.

use emporium_sdk::{
    health::{Check, Health},
    maintenance,
    problem::Problem,
};
use futures::future::join_all;
use serde_json::Value;

use crate::neighbours;

/// Whether the application can do its work: its database and every service.
#[utoipa::path(get, path = "/health", tag = "operations",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(crate) async fn platform() -> Result<Health, Problem> {
    let mut checks = vec![database().await];
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

/// Whether the platform's data can be reached.
#[utoipa::path(get, path = "/operations/health", tag = "operations",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(crate) async fn own() -> Health {
    vec![database().await].into()
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
