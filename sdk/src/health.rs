//! `GET /{service}/health`: whether a service can do its work.
//!
//! Anybody may ask. So the answer says what does not work, and not why: causes name
//! addresses and say what the database said. They go to the log, and to
//! administrators ([`Health::with_causes`]).

use std::borrow::Cow;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    document::{self, Document},
    variables::InvalidVariables,
};

/// What everybody is told of something that does not work.
const UNHEALTHY: &str = "this does not work; the log says why";

/// How one thing that a service needs is doing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Check {
    /// What was looked at.
    pub name: Cow<'static, str>,
    /// Whether it works.
    pub healthy: bool,
    /// What is wrong with it, or what to look after although it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The same for those who may know everything.
    #[serde(skip)]
    pub cause: Option<String>,
}

impl Check {
    /// What came of looking at `name`. The error is for the log and for
    /// administrators.
    pub fn of<E: std::fmt::Display>(
        name: impl Into<Cow<'static, str>>,
        result: Result<(), E>,
    ) -> Self {
        let cause = result.err().map(|error| error.to_string());
        Self {
            name: name.into(),
            healthy: cause.is_none(),
            detail: cause.is_some().then(|| UNHEALTHY.into()),
            cause,
        }
    }

    /// What came of reading the variables. Everybody is told which ones are wrong:
    /// what they are set to is not said.
    pub fn of_variables(result: Result<(), InvalidVariables>) -> Self {
        let mut check = Self::of("configuration", result);
        check.detail.clone_from(&check.cause);
        check
    }

    /// What came of reading a document of the collection of `D`, which need not
    /// exist.
    pub async fn of_documents<D: Document>() -> Self {
        Self::of("documents", document::get::<D>("health").await.map(drop))
    }

    /// Something that works, and that somebody should look after if there is a
    /// `warning`.
    pub fn warning(name: impl Into<Cow<'static, str>>, warning: Option<String>) -> Self {
        Self {
            name: name.into(),
            healthy: true,
            detail: warning,
            cause: None,
        }
    }
}

/// The answer: 200 if every check is healthy, else 503.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, `warning` or `failing`.
    pub status: &'static str,
    /// What was looked at.
    pub checks: Vec<Check>,
}

impl Health {
    /// The answer for an administrator, who is told why something does not work.
    #[must_use]
    pub fn with_causes(mut self) -> Self {
        for check in &mut self.checks {
            check.detail = check.cause.take().or(check.detail.take());
        }
        self
    }

    /// Say in the log why something does not work.
    pub fn log(&self) {
        for check in self.checks.iter().filter(|check| !check.healthy) {
            let cause = check.cause.as_deref().unwrap_or_default();
            eprintln!("unhealthy: {}: {cause}", check.name);
        }
    }
}

impl From<Vec<Check>> for Health {
    fn from(checks: Vec<Check>) -> Self {
        let status = match checks.iter().all(|check| check.healthy) {
            false => "failing",
            true if checks.iter().any(|check| check.detail.is_some()) => "warning",
            true => "ok",
        };
        Self { status, checks }
    }
}

impl IntoResponse for Health {
    fn into_response(self) -> Response {
        self.log();
        let status = match self.status {
            "failing" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        };
        (status, Json(self)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing() -> Health {
        let refused = Err("connecting to 10.1.2.3:5432: password wrong");
        vec![Check::of("database", refused)].into()
    }

    fn text(health: &Health) -> String {
        serde_json::to_string(health).unwrap_or_default()
    }

    #[test]
    fn causes_are_for_administrators() {
        let public = text(&failing());
        assert!(
            !public.contains("10.1.2.3") && !public.contains("password"),
            "{public}"
        );
        assert!(
            public.contains("database") && public.contains("failing"),
            "{public}"
        );
        let private = text(&failing().with_causes());
        assert!(private.contains("10.1.2.3"), "{private}");
    }

    #[test]
    fn a_warning_is_no_failure() {
        let warned = Check::warning("lag", Some("`media` is behind".into()));
        let health = Health::from(vec![warned]);
        assert_eq!(health.status, "warning");
        assert!(text(&health.clone().with_causes()).contains("behind"));
        assert_eq!(health.into_response().status(), StatusCode::OK);
        let calm = Health::from(vec![Check::warning("lag", None)]);
        assert_eq!(calm.status, "ok");
        assert_eq!(
            failing().into_response().status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
    }

    #[test]
    fn everybody_is_told_which_variables_are_wrong() {
        let wrong = InvalidVariables(vec!["`port` is invalid".into()]);
        let health = Health::from(vec![Check::of_variables(Err(wrong))]);
        assert!(text(&health).contains("`port` is invalid"));
    }
}
