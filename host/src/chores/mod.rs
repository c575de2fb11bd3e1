//! What the host itself calls components for: saying that it is alive, waking what
//! is due, and tidying up. Three loops, so that none waits for another, and none
//! for requests: each has a thread, instances and a slot that requests cannot take,
//! and the first two a connection to Postgres each.

mod announcer;
mod pace;
mod ticker;

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;

pub(crate) use announcer::{Announcer, leave};
pub(crate) use ticker::Ticker;

use crate::{application::Application, http::Server, telemetry::context::SpanContext};

/// The variable that holds the token these routes ask for.
pub(crate) const ADMIN_TOKEN: &str = "admin_token";

/// How long an announcement may take. Then it is given up with its instance and its
/// connection, which may be one that nobody answers any more: the next announcement
/// gets new ones. Two may hang before others take this host for dead.
const ANNOUNCEMENT_DEADLINE: Duration = Duration::from_secs(1);

/// One kind of call that the host makes of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chore {
    /// Say that this host is alive.
    Announce,
    /// Wake what is due.
    Wake,
    /// Commit what was parked, and sweep what is old.
    TidyUp,
}

impl Chore {
    pub(crate) const ALL: [Self; 3] = [Self::Announce, Self::Wake, Self::TidyUp];

    /// The index in [`Self::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// What its thread is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::Wake => "wake",
            Self::TidyUp => "tidy-up",
        }
    }

    /// How long one call may take, where a request may take `request`.
    pub(crate) fn deadline(self, request: Duration) -> Duration {
        match self {
            Self::Announce => request.min(ANNOUNCEMENT_DEADLINE),
            Self::Wake | Self::TidyUp => request,
        }
    }
}

/// Calls the component that `path` is routed to.
async fn call(
    application: &Application,
    server: &Server,
    chore: Chore,
    (method, path): (Method, &str),
    body: String,
) -> Result<(StatusCode, Bytes)> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = application.variables.get(ADMIN_TOKEN) {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    if application.tracer.is_some() {
        // A trace of every tick would hide all others.
        request = request.header("traceparent", SpanContext::unrecorded().to_header());
    }
    server
        .call(chore, request.body(Full::new(Bytes::from(body)))?)
        .await
}

/// Says what is wrong when it goes wrong, not each time again.
struct Complaints {
    what: &'static str,
    last: StatusCode,
}

impl Complaints {
    fn about(what: &'static str) -> Self {
        Self {
            what,
            last: StatusCode::OK,
        }
    }

    fn heard(&mut self, status: StatusCode) {
        if status != self.last && !status.is_success() {
            tracing::warn!("{} answered {status}", self.what);
        }
        self.last = status;
    }
}
