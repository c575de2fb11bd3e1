//! Failures as callers see them: RFC 9457 `application/problem+json`.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::{blobs, dead_letters, documents, journal, maintenance, workers};

/// An answer that says what went wrong and, below 500, what to do about it.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    field: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What the body of the answer has.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
struct Body<'problem> {
    /// Identifies the kind of problem: `urn:emporium:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'static str,
    status: u16,
    /// The name of the error case in the contract, for programs.
    code: &'problem str,
    /// What went wrong this time.
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'problem str,
    /// The member of the body or the parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'problem str>,
}

impl Problem {
    /// A problem of the kind `code`, which is a WIT case name where there is one.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            field: None,
            headers: Vec::new(),
        }
    }

    /// The request says something that cannot be meant.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// There is no such thing; `code` names the thing.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// Something the caller can do nothing about. `cause` goes to the log only.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        eprintln!("internal error: {cause}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "other", "")
    }

    /// The database is away or too busy. `cause` goes to the log only.
    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        eprintln!("store unavailable: {cause}");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the store cannot be reached or is too busy; try again",
        )
        .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Name the member or parameter that is wrong.
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Add a response header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong this time; empty where callers should not know.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The name of the error case.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        Body::schema()
    }
}

impl ToSchema for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            kind: format!("urn:emporium:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Unknown"),
            status: self.status.as_u16(),
            code: &self.code,
            detail: &self.detail,
            field: self.field.as_deref(),
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (
            self.status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            body,
        )
            .into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<documents::Error> for Problem {
    fn from(error: documents::Error) -> Self {
        match error {
            documents::Error::InvalidQuery(detail) => Self::bad_request("invalid-query", detail),
            documents::Error::Unavailable(cause) => Self::unavailable(cause),
            documents::Error::Other(cause) => Self::internal(cause),
        }
    }
}

impl From<journal::CommitError> for Problem {
    fn from(error: journal::CommitError) -> Self {
        use journal::CommitError;
        match error {
            CommitError::Conflict(conflict) => Self::new(
                StatusCode::CONFLICT,
                "conflict",
                format!(
                    "`{}` in `{}` was changed by somebody else",
                    conflict.key, conflict.collection
                ),
            ),
            // Only a consumer settles deliveries, and it never answers a caller.
            CommitError::LeaseLost => Self::internal("lease lost outside of a consumer"),
            CommitError::Repeated => {
                Self::new(StatusCode::CONFLICT, "repeated", "this was written before")
            }
            CommitError::TooLarge(excess) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                format!(
                    "{} has {} of at most {}",
                    excess.what, excess.size, excess.limit
                ),
            ),
            CommitError::NoSuchBlob(digest) => Self::internal(format!("no such blob: {digest}")),
            // Names come from requests: the caller can choose others.
            CommitError::InvalidUnit(detail) => Self::bad_request("invalid-unit", detail),
            CommitError::Unavailable(cause) => Self::unavailable(cause),
            CommitError::Other(cause) => Self::internal(cause),
        }
    }
}

impl From<blobs::Error> for Problem {
    fn from(error: blobs::Error) -> Self {
        match error {
            blobs::Error::InvalidDigest => {
                Self::bad_request("invalid-digest", "not 64 lower-case hexadecimal digits")
            }
            blobs::Error::TooLarge(limit) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                format!("the content is over {limit} bytes"),
            ),
            blobs::Error::Unavailable(cause) => Self::unavailable(cause),
            blobs::Error::Other(cause) => Self::internal(cause),
        }
    }
}

impl From<dead_letters::Error> for Problem {
    fn from(error: dead_letters::Error) -> Self {
        match error {
            dead_letters::Error::InvalidQuery(detail) => Self::bad_request("invalid-query", detail),
            dead_letters::Error::Unavailable(cause) => Self::unavailable(cause),
            dead_letters::Error::Other(cause) => Self::internal(cause),
        }
    }
}

impl From<maintenance::Error> for Problem {
    fn from(error: maintenance::Error) -> Self {
        match error {
            maintenance::Error::NewerSchema(version) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "newer-schema",
                format!("the database has schema {version}, which is newer than this release"),
            ),
            maintenance::Error::InvalidQuery(detail) => Self::bad_request("invalid-query", detail),
            maintenance::Error::Unavailable(cause) => Self::unavailable(cause),
            maintenance::Error::Other(cause) => Self::internal(cause),
        }
    }
}

impl From<workers::Error> for Problem {
    fn from(error: workers::Error) -> Self {
        match error {
            workers::Error::InvalidWorker(detail) => Self::bad_request("invalid-worker", detail),
            workers::Error::Unavailable(cause) => Self::unavailable(cause),
            workers::Error::Other(cause) => Self::internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_error_tells_the_caller_nothing() {
        for problem in [
            Problem::internal("secret"),
            Problem::unavailable("secret"),
            documents::Error::Other("secret".into()).into(),
            journal::CommitError::Unavailable("secret".into()).into(),
            blobs::Error::Other("secret".into()).into(),
        ] {
            assert!(problem.status().is_server_error());
            assert!(!problem.detail.contains("secret"));
        }
    }

    #[test]
    fn a_name_that_cannot_be_is_the_matter_of_the_caller() {
        let refused = "subject \"\" must be 1 to 256 bytes without control characters";
        let problem = Problem::from(journal::CommitError::InvalidUnit(refused.into()));
        assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
        assert_eq!(
            (problem.code(), problem.detail()),
            ("invalid-unit", refused)
        );
    }

    #[test]
    fn the_code_is_the_name_of_the_case() {
        let conflict = journal::Conflict {
            collection: "images".into(),
            key: "1".into(),
            found: Some(2),
        };
        let problem = Problem::from(journal::CommitError::Conflict(conflict));
        assert_eq!(problem.status(), StatusCode::CONFLICT);
        assert_eq!(problem.code(), "conflict");
    }
}
