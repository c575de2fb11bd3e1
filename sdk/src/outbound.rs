//! Requests to servers elsewhere, within limits of time and size.

use std::{pin::pin, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::future::{Either, select};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use spin_sdk::http::{IntoRequest, send};

/// What an exchange may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From sending the request to the last byte of the answer.
    pub time: Duration,
    /// The bytes of the body of the answer.
    pub bytes: usize,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why there is no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The body is over this many bytes.
    #[error("the answer is over {0} bytes")]
    TooLarge(usize),
    /// It was not there in time.
    #[error("no whole answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The host does not let requests go there.
    #[error("the host lets no request go there")]
    Prohibited,
    /// The connection could not be made, or broke. The string is for logs.
    #[error("{0}")]
    Broken(String),
}

/// Send a request and read its answer. Redirects are not followed.
pub async fn exchange(request: Request<Body>, limits: Limits) -> Result<Answer, Failure> {
    within(limits.time, answer(request, limits.bytes)).await
}

async fn answer(request: impl IntoRequest, limit: usize) -> Result<Answer, Failure> {
    use spin_sdk::wasip3::http::types::ErrorCode;
    let response = send(request).await.map_err(|error| match error {
        ErrorCode::DestinationIpProhibited | ErrorCode::HttpRequestDenied => Failure::Prohibited,
        error => Failure::Broken(format!("no answer: {error}")),
    })?;
    let (head, body) = Response::into_parts(response);
    // A length that is announced is believed, so that nothing of it is read.
    let announced = head
        .headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Failure::TooLarge(limit));
    }
    let body = Limited::new(body, limit).collect().await;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => Failure::TooLarge(limit),
        false => Failure::Broken(format!("the answer ends early: {error}")),
    })?;
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
    })
}

/// Whatever comes first: the result, or the end of the time. What runs is then
/// dropped, and the connection with it.
async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let end = pin!(spin_sdk::time::sleep(time));
    match select(pin!(work), end).await {
        Either::Left((result, _)) => result,
        Either::Right(((), _)) => Err(Failure::TimedOut(time)),
    }
}
