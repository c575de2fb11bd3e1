//! One question to upstream, and what the answer means.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use emporium_sdk::outbound::{Answer, Failure, Limits, exchange};
use http::{HeaderMap, Request, StatusCode, header};
use url::Url;

use super::{freshness::Freshness, shelf::Entry};

/// How often upstream may point elsewhere on the same origin.
const HOPS: usize = 3;

/// What upstream says of a resource.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Here it is.
    Found(Bytes, Validators, Freshness),
    /// It is as the caller has it.
    Unchanged(Freshness),
    /// There is none.
    Absent(Freshness),
    /// What is there is of no use, and will not be for a while.
    Useless(String),
    /// It will not be given, and asking again does not help.
    Refused(String),
    /// No answer, or none that counts. The server may ask for rest.
    Failed(String, Option<Duration>),
}

/// What to ask with next time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// Ask for `url`; `kept` is what is known of it.
pub(crate) async fn fetch(url: &Url, kept: Option<&Entry>, limits: Limits) -> Outcome {
    let mut target = url.clone();
    for _ in 0..=HOPS {
        let request = match request(&target, kept) {
            Ok(request) => request,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let answer = match exchange(request, limits).await {
            Ok(answer) => answer,
            Err(failure @ Failure::TooLarge(_)) => return Outcome::Useless(failure.to_string()),
            Err(failure @ Failure::Prohibited) => return Outcome::Refused(failure.to_string()),
            Err(failure) => return Outcome::Failed(failure.to_string(), None),
        };
        match onward(&target, &answer) {
            None => return read(answer, has_validator(kept)),
            Some(next) if next.origin() == url.origin() => target = next,
            Some(next) => {
                return Outcome::Useless(format!("it leads elsewhere, to {next}"));
            }
        }
    }
    Outcome::Useless(format!("it leads on more than {HOPS} times"))
}

fn request(url: &Url, kept: Option<&Entry>) -> Result<Request<Body>, http::Error> {
    let mut request = Request::get(url.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "emporium-catalog/0.1");
    if let Some(etag) = kept.and_then(|kept| kept.etag.as_deref()) {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    if let Some(since) = kept.and_then(|kept| kept.last_modified.as_deref()) {
        request = request.header(header::IF_MODIFIED_SINCE, since);
    }
    request.body(Body::empty())
}

fn has_validator(kept: Option<&Entry>) -> bool {
    kept.is_some_and(|kept| kept.etag.is_some() || kept.last_modified.is_some())
}

/// Where a redirect leads.
fn onward(from: &Url, answer: &Answer) -> Option<Url> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers.get(header::LOCATION)?.to_str().ok()?;
    from.join(location).ok()
}

fn read(answer: Answer, asked_with_validator: bool) -> Outcome {
    let freshness = Freshness::of(&answer.headers);
    match answer.status {
        StatusCode::OK => {
            let validators = Validators {
                etag: text(&answer.headers, &header::ETAG),
                last_modified: text(&answer.headers, &header::LAST_MODIFIED),
            };
            Outcome::Found(answer.body, validators, freshness)
        }
        StatusCode::NOT_MODIFIED if asked_with_validator => Outcome::Unchanged(freshness),
        StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::Absent(freshness),
        StatusCode::TOO_MANY_REQUESTS => {
            let rest = retry_after(&answer.headers).unwrap_or(Duration::from_secs(5));
            Outcome::Failed("it asks for fewer requests".into(), Some(rest))
        }
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            Outcome::Failed(format!("it answers {status}"), retry_after(&answer.headers))
        }
        status => Outcome::Refused(format!("it answers {status}")),
    }
}

/// The seconds of `Retry-After`. Its other form, a date, is not worth a parser:
/// the circuit then rests for its own time.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = text(headers, &header::RETRY_AFTER)?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(status: u16, headers: &[(header::HeaderName, &'static str)]) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap_or_default(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
                .collect(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn every_status_has_a_meaning() {
        let meaning = |status| match read(answer(status, &[]), true) {
            Outcome::Found(..) => "found",
            Outcome::Unchanged(_) => "unchanged",
            Outcome::Absent(_) => "absent",
            Outcome::Useless(_) => "useless",
            Outcome::Refused(_) => "refused",
            Outcome::Failed(..) => "failed",
        };
        for (status, expected) in [
            (200, "found"),
            (304, "unchanged"),
            (404, "absent"),
            (410, "absent"),
            (401, "refused"),
            (206, "refused"),
            (408, "failed"),
            (429, "failed"),
            (500, "failed"),
            (503, "failed"),
        ] {
            assert_eq!(meaning(status), expected, "{status}");
        }
        let unasked = read(answer(304, &[]), false);
        assert!(matches!(unasked, Outcome::Refused(_)), "{unasked:?}");
    }

    #[test]
    fn a_redirect_is_read_against_where_it_was() {
        let from = Url::parse("http://a/api/v2/pokemon/1").ok();
        let to = from.and_then(|from| {
            onward(
                &from,
                &answer(301, &[(header::LOCATION, "/api/v2/pokemon/1/")]),
            )
        });
        assert_eq!(
            to.map(String::from).as_deref(),
            Some("http://a/api/v2/pokemon/1/")
        );
    }

    #[test]
    fn a_server_that_asks_for_rest_is_understood() {
        let outcome = read(answer(503, &[(header::RETRY_AFTER, "7")]), false);
        assert!(
            matches!(outcome, Outcome::Failed(_, Some(rest)) if rest.as_secs() == 7),
            "{outcome:?}"
        );
    }
}
