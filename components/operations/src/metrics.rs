//! `GET /metrics`: figures for Prometheus.

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use emporium_sdk::{admin::Admin, maintenance, problem::Problem, variables::Variables, workers};
use http::{header, request::Parts};

use crate::exposition::{CONTENT_TYPE, Figures};

/// Proof that a request may read the figures: it comes from an administrator, or
/// the variable `metrics_public` is `true`.
pub(crate) struct Reader(());

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let mut variables = Variables::new();
        let public: Option<bool> = variables.get("metrics_public").await;
        if !variables.finish(public).map_err(Problem::internal)? {
            Admin::from_request_parts(parts, state).await?;
        }
        Ok(Self(()))
    }
}

/// Read the figures of every subscription and worker, as OpenMetrics text.
#[utoipa::path(get, path = "/metrics", tag = "operations", security(("admin" = []), ()),
    responses((status = 200, content_type = "application/openmetrics-text"), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn metrics(_: Reader) -> Result<Response, Problem> {
    let figures = Figures {
        statuses: maintenance::subscriptions().await?,
        workers: workers::list().await?,
    };
    let text = figures.into_text().map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
