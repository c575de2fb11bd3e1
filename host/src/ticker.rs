//! The ticker: makes services look for work that is due, again and again, and
//! tells them that this host is alive.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{application::Application, http::Server, telemetry::context::SpanContext};

/// The route that makes services look for work that is due.
const TICK: &str = "/platform/tick";

/// Where the hosts that share the work are listed.
const WORKERS: &str = "/platform/workers";

/// The variable that holds the token these routes ask for.
pub(crate) const ADMIN_TOKEN: &str = "admin_token";

/// A host that was not heard of for so many periods is gone, but never sooner
/// than `SHORTEST_SILENCE`: one that is busy must not be taken for dead.
const SILENT_PERIODS: u32 = 3;
const SHORTEST_SILENCE: Duration = Duration::from_secs(3);

/// How long a host that stops waits for having said so.
const FAREWELL: Duration = Duration::from_secs(2);

/// Calls [`TICK`] of an application again and again.
pub(crate) struct Ticker {
    application: Arc<Application>,
    server: Arc<Server>,
    period: Duration,
    since: SystemTime,
    begun: watch::Sender<bool>,
}

impl Ticker {
    /// A ticker that tells `begun` when it ticked for the first time.
    pub(crate) fn new(
        application: &Arc<Application>,
        server: &Arc<Server>,
        period: Duration,
        begun: watch::Sender<bool>,
    ) -> Self {
        Self {
            application: application.clone(),
            server: server.clone(),
            period,
            since: SystemTime::now(),
            begun,
        }
    }

    /// Ticks until `stopped`, or until it turns out that nothing is routed there.
    pub(crate) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut period = interval(self.period);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = StatusCode::OK;
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                _ = period.tick() => {}
            }
            let ticked = self.tick().await;
            self.begun.send_replace(true);
            match ticked {
                Ok(StatusCode::NOT_FOUND) => return,
                Ok(status) => {
                    // Said once, not every second.
                    if status != last && !status.is_success() {
                        tracing::warn!("{TICK} answered {status}");
                    }
                    last = status;
                }
                Err(error) => return tracing::debug!("the ticker stopped: {error:#}"),
            }
        }
    }

    async fn tick(&self) -> Result<StatusCode> {
        let silence = (self.period * SILENT_PERIODS).max(SHORTEST_SILENCE);
        let since = self.since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let counters = &self.application.counters;
        let mut counted = counters.read();
        if let Some(tracer) = &self.application.tracer {
            counted.insert("spans_dropped".into(), tracer.dropped());
        }
        let in_flight = self.server.in_flight() as u64 + counters.messages_in_flight();
        let body = json!({
            "worker": {
                "id": self.application.id,
                "address": self.server.address().to_string(),
                "since_ms": since.as_millis() as u64,
                "in_flight": in_flight,
                "counters": counted,
            },
            "for_ms": silence.as_millis() as u64,
        });
        call(
            &self.application,
            &self.server,
            Method::POST,
            TICK,
            body.to_string(),
        )
        .await
    }
}

/// Says that this host stops, after its work ended: what it still holds is free
/// for others.
pub(crate) async fn leave(application: &Application, server: &Server) {
    let path = format!("{WORKERS}/{}", application.id);
    let left = call(application, server, Method::DELETE, &path, String::new());
    match timeout(FAREWELL, left).await {
        Ok(Ok(StatusCode::NO_CONTENT | StatusCode::NOT_FOUND)) => {}
        Ok(Ok(status)) => tracing::warn!("{path} answered {status}"),
        Ok(Err(error)) => tracing::debug!("leaving: {error:#}"),
        Err(_) => tracing::warn!("{path} did not answer within {FAREWELL:?}"),
    }
}

async fn call(
    application: &Application,
    server: &Server,
    method: Method,
    path: &str,
    body: String,
) -> Result<StatusCode> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = application.variables.get(ADMIN_TOKEN) {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if application.tracer.is_some() {
        // A trace of every tick would hide all others.
        request = request.header("traceparent", SpanContext::unrecorded().to_header());
    }
    server
        .call(request.body(Full::new(Bytes::from(body)))?)
        .await
}
