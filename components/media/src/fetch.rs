//! Fetching of media: a few hops, each checked, within limits of time and size.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use emporium_sdk::{
    outbound::{Answer, Failure, Limits, exchange},
    variables::{InvalidVariables, Kept, Variables},
};
use http::{Request, StatusCode, header};
use url::Url;

use crate::target::Allowed;

/// How often one server may point to another.
const HOPS: usize = 3;

/// What may be fetched, and what it may take.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) allowed: Allowed,
    pub(crate) limits: Limits,
}

/// Why nothing was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FetchError {
    /// It is not to be fetched. Nothing was sent there.
    Prohibited(String),
    /// It is not there, or is nothing to keep.
    Useless(String),
    /// It may work later.
    Away(String),
}

impl Settings {
    /// The settings, read at the first use in this instance.
    pub(crate) async fn get() -> Result<Arc<Self>, InvalidVariables> {
        static SETTINGS: Kept<Settings> = Kept::new();
        SETTINGS.get(Self::read()).await
    }

    async fn read() -> Result<Self, InvalidVariables> {
        let mut variables = Variables::new();
        let origins = variables.get("media_origins").await;
        let private = variables.get("allow_private_media").await;
        let bytes = variables.get("media_limit").await;
        let seconds = variables.get("media_timeout").await;
        let read = || {
            Some(Self {
                allowed: Allowed {
                    origins: origins?,
                    private: private?,
                },
                limits: Limits {
                    time: Duration::from_secs(seconds?),
                    bytes: bytes?,
                },
            })
        };
        let read = read();
        variables.finish(read)
    }
}

/// Fetch what is at `url`.
pub(crate) async fn fetch(url: &str, settings: &Settings) -> Result<Bytes, FetchError> {
    let begun = Instant::now();
    let mut target = Url::parse(url)
        .map_err(|_| FetchError::Prohibited("it is no absolute `http` or `https` URL".into()))?;
    for _ in 0..=HOPS {
        // Every hop: what was allowed may point to what is not.
        settings
            .allowed
            .check(&target)
            .map_err(|prohibited| FetchError::Prohibited(format!("{target}: {prohibited}")))?;
        let limits = Limits {
            time: settings.limits.time.saturating_sub(begun.elapsed()),
            ..settings.limits
        };
        let answer = ask(&target, limits).await?;
        match read(&target, answer)? {
            Read::Content(content) => return Ok(content),
            Read::Elsewhere(next) => target = next,
        }
    }
    Err(FetchError::Useless(format!(
        "it leads on more than {HOPS} times"
    )))
}

async fn ask(url: &Url, limits: Limits) -> Result<Answer, FetchError> {
    let request = Request::get(url.as_str())
        .header(header::ACCEPT, "image/*, audio/*")
        .header(header::USER_AGENT, "emporium-media/0.1")
        .body(Body::empty())
        .map_err(|error| FetchError::Prohibited(error.to_string()))?;
    exchange(request, limits)
        .await
        .map_err(|failure| match failure {
            Failure::TooLarge(_) => FetchError::Useless(failure.to_string()),
            Failure::Prohibited => FetchError::Prohibited(failure.to_string()),
            Failure::TimedOut(_) | Failure::Broken(_) => FetchError::Away(failure.to_string()),
        })
}

/// What an answer amounts to.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Content(Bytes),
    Elsewhere(Url),
}

fn read(from: &Url, answer: Answer) -> Result<Read, FetchError> {
    let status = answer.status;
    match status {
        StatusCode::OK if answer.body.is_empty() => {
            Err(FetchError::Useless("the answer is empty".into()))
        }
        StatusCode::OK => Ok(Read::Content(answer.body)),
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => answer
            .headers
            .get(header::LOCATION)
            .and_then(|location| from.join(location.to_str().ok()?).ok())
            .map(Read::Elsewhere)
            .ok_or_else(|| FetchError::Useless("it leads nowhere".into())),
        status
            if status.is_server_error()
                || status == StatusCode::TOO_MANY_REQUESTS
                || status == StatusCode::REQUEST_TIMEOUT =>
        {
            Err(FetchError::Away(format!("the server answers {status}")))
        }
        status => Err(FetchError::Useless(format!("the server answers {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn answer(status: u16, location: Option<&'static str>, body: &'static str) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(location) = location {
            headers.insert(header::LOCATION, HeaderValue::from_static(location));
        }
        Answer {
            status: StatusCode::from_u16(status).unwrap_or_default(),
            headers,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn every_answer_amounts_to_something() -> Result<(), url::ParseError> {
        let from = Url::parse("https://a.example/x/1.png")?;
        let word = |answer| match read(&from, answer) {
            Ok(Read::Content(_)) => "content".to_owned(),
            Ok(Read::Elsewhere(next)) => next.to_string(),
            Err(FetchError::Useless(_)) => "useless".to_owned(),
            Err(FetchError::Away(_)) => "away".to_owned(),
            Err(FetchError::Prohibited(_)) => "prohibited".to_owned(),
        };
        for (answer, expected) in [
            (answer(200, None, "x"), "content"),
            (answer(200, None, ""), "useless"),
            (answer(206, None, "x"), "useless"),
            (answer(302, Some("../2.png"), ""), "https://a.example/2.png"),
            (
                answer(302, Some("http://10.0.0.1/"), ""),
                "http://10.0.0.1/",
            ),
            (answer(302, None, ""), "useless"),
            (answer(404, None, ""), "useless"),
            (answer(429, None, ""), "away"),
            (answer(500, None, ""), "away"),
        ] {
            assert_eq!(word(answer), expected);
        }
        Ok(())
    }
}
