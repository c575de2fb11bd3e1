//! `GET /{service}/health`: whether a service can do its work.

use std::borrow::Cow;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::document::{self, Document};

/// How one thing that a service needs is doing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Check {
    /// What was looked at.
    pub name: Cow<'static, str>,
    /// Whether it works.
    pub healthy: bool,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Check {
    /// What came of looking at `name`.
    pub fn of<E: std::fmt::Display>(
        name: impl Into<Cow<'static, str>>,
        result: Result<(), E>,
    ) -> Self {
        let detail = result.err().map(|error| error.to_string());
        Self {
            name: name.into(),
            healthy: detail.is_none(),
            detail,
        }
    }

    /// What came of reading a document of the collection of `D`, which need not
    /// exist.
    pub async fn of_documents<D: Document>() -> Self {
        Self::of("documents", document::get::<D>("health").await.map(drop))
    }
}

/// The answer: 200 if every check is healthy, else 503.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `failing`.
    pub status: &'static str,
    /// What was looked at.
    pub checks: Vec<Check>,
}

impl From<Vec<Check>> for Health {
    fn from(checks: Vec<Check>) -> Self {
        let healthy = checks.iter().all(|check| check.healthy);
        Self {
            status: if healthy { "ok" } else { "failing" },
            checks,
        }
    }
}

impl IntoResponse for Health {
    fn into_response(self) -> Response {
        let status = match self.status {
            "ok" => StatusCode::OK,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(self)).into_response()
    }
}
