//! Answers the host gives itself, as RFC 9457 problems. They say nothing about
//! what went on inside.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

/// Why a request has no answer from a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// No route matches.
    NoSuchRoute,
    /// The request body is larger than the limit.
    BodyTooLarge,
    /// More requests are in flight than the host takes on.
    Overloaded,
    /// The request body came in too slowly.
    BodyTooSlow,
    /// The handler did not answer in time.
    OutOfTime,
    /// The handler trapped, or ended without an answer.
    HandlerFailed,
}

impl Problem {
    fn parts(self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "no-such-route"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "body-too-slow"),
            Self::OutOfTime => (StatusCode::GATEWAY_TIMEOUT, "out-of-time"),
            Self::HandlerFailed => (StatusCode::INTERNAL_SERVER_ERROR, "handler-failed"),
        }
    }

    /// The status it is answered with.
    pub(crate) fn status(self) -> StatusCode {
        self.parts().0
    }

    pub(crate) fn into_response<B: From<Bytes>>(self) -> Response<B> {
        let (status, code) = self.parts();
        let title = status.canonical_reason().unwrap_or_default();
        let body = format!(
            r#"{{"type":"urn:emporium:problem:{code}","title":"{title}","status":{},"code":"{code}"}}"#,
            status.as_u16()
        );
        let mut response = Response::new(B::from(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self == Self::Overloaded {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
