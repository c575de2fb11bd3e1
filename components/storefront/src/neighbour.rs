//! The public API of other services, asked over service chaining.

use axum::body::Body;
use emporium_sdk::extract::read_body;
use http::{Method, Request, StatusCode, header};
use serde::de::DeserializeOwned;
use spin_sdk::http::send;

/// The most bytes of an answer that are read.
const ANSWER_LIMIT: usize = 4 << 20;

/// Another service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neighbour {
    /// Its component id.
    pub(crate) id: &'static str,
    /// What visitors know it as.
    pub(crate) called: &'static str,
}

/// Why a service did not do what was asked.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// In words, for the visitor.
    pub(crate) detail: String,
}

impl Neighbour {
    /// Read something.
    pub(crate) async fn get<T: DeserializeOwned>(self, path: &str) -> Result<T, Refusal> {
        self.ask(Method::GET, path, None, Body::empty()).await
    }

    /// Ask for something that is answered with JSON.
    pub(crate) async fn ask<T: DeserializeOwned>(
        self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Body,
    ) -> Result<T, Refusal> {
        let answer = self.exchange(method, path, content_type, body).await?;
        serde_json::from_slice(&answer).map_err(|error| self.away(error))
    }

    /// Ask for something, and read the answer whole.
    pub(crate) async fn exchange(
        self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Body,
    ) -> Result<bytes::Bytes, Refusal> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}.spin.internal{path}", self.id));
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request = request.body(body).map_err(|error| self.away(error))?;
        let response = send(request).await.map_err(|error| self.away(error))?;
        let status = response.status();
        let answer = read_body(Body::new(response.into_body()), ANSWER_LIMIT)
            .await
            .map_err(|problem| self.away(problem.detail()))?;
        if status.is_success() {
            return Ok(answer);
        }
        let detail = serde_json::from_slice::<serde_json::Value>(&answer)
            .ok()
            .and_then(|problem| Some(problem.get("detail")?.as_str()?.to_owned()))
            .unwrap_or_else(|| format!("{} could not do that.", self.called));
        Err(Refusal { status, detail })
    }

    fn away(self, cause: impl std::fmt::Display) -> Refusal {
        eprintln!("`{}` does not answer: {cause}", self.id);
        Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            detail: format!("{} does not answer. Please try again.", self.called),
        }
    }
}
