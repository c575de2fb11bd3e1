//! Requests to the `operations` service of a running application.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use url::Url;

use crate::net::client::{Client, client};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One application, and the right to administer it.
pub(super) struct Api {
    url: Url,
    token: Option<String>,
    client: Client,
}

impl Api {
    pub(super) fn new(url: &str, token: Option<&str>) -> Result<Self> {
        let url = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .with_context(|| {
                format!("--url: {url:?} is not a URL such as http://127.0.0.1:3000")
            })?;
        Ok(Self {
            url,
            token: token.filter(|token| !token.is_empty()).map(Into::into),
            client: client(),
        })
    }

    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value> {
        let mut url = self.at(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(Method::GET, url, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(Method::POST, self.at(path)?, Some(body)).await
    }

    /// Deletes what the segments of a path name, whatever characters they have.
    pub(super) async fn delete(&self, segments: &[&str]) -> Result<()> {
        let mut url = self.at("")?;
        url.path_segments_mut()
            .map_err(|()| anyhow!("--url: {} has no paths", self.url))?
            .pop_if_empty()
            .extend(segments);
        self.send(Method::DELETE, url, None).await.map(drop)
    }

    fn at(&self, path: &str) -> Result<Url> {
        let base = self.url.as_str().trim_end_matches('/');
        Ok(Url::parse(&format!("{base}{path}"))?)
    }

    async fn send(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Value> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = tokio::time::timeout(PATIENCE, async {
            let response = self.client.request(request).await.map_err(|error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                anyhow!(
                    "{} does not answer: {}; is the application running? --url names another",
                    self.url,
                    cause.unwrap_or_else(|| error.to_string())
                )
            })?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            anyhow::Ok((status, body))
        });
        let (status, body) = answer
            .await
            .map_err(|_| anyhow!("{} did not answer within {PATIENCE:?}", self.url))??;
        if !status.is_success() {
            bail!(refusal(status, &body));
        }
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body)
            .with_context(|| format!("{} answered {status} without JSON", self.url))
    }
}

/// What a refusal says, and what to do about it.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut text = status.to_string();
    for member in ["code", "detail"] {
        if let Some(said) = problem.get(member).and_then(Value::as_str) {
            text = format!("{text}: {said}");
        }
    }
    if status == StatusCode::UNAUTHORIZED {
        text.push_str("; give --token, or set SPIN_VARIABLE_ADMIN_TOKEN");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let body = br#"{"code":"unauthorised","detail":"a bearer token is needed"}"#;
        let text = refusal(StatusCode::UNAUTHORIZED, body);
        for part in ["401", "unauthorised", "a bearer token is needed", "--token"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn what_is_not_a_url_is_refused() {
        for url in ["", "localhost:3000", "ftp://x", "http://"] {
            assert!(Api::new(url, None).is_err(), "{url:?}");
        }
        assert!(Api::new("https://shop.example/prefix", None).is_ok());
    }
}
