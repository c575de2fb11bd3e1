//! Announcing this host again and again, so that what it holds stays its own.
//!
//! Nothing else is done in this loop, nor in the call it makes: whatever went
//! before it could make a busy host look dead.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Method, StatusCode};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Chore, Complaints, call};
use crate::{application::Application, http::Server};

/// Where hosts announce themselves, and are listed.
const WORKERS: &str = "/platform/workers";

/// The longest time between two announcements: several may be lost before
/// `SILENCE` is over.
const PERIOD: Duration = Duration::from_millis(500);

/// A host that was not heard of for so long is gone.
const SILENCE: Duration = Duration::from_secs(3);

/// How long a host that stops waits for having said so.
const FAREWELL: Duration = Duration::from_secs(2);

/// Announces the host of an application.
pub(crate) struct Announcer {
    application: Arc<Application>,
    server: Arc<Server>,
    period: Duration,
    since: SystemTime,
    announced: watch::Sender<u64>,
}

impl Announcer {
    /// An announcer for a host that ticks every `tick`. It counts in `announced` how
    /// often it has tried.
    pub(crate) fn new(
        application: &Arc<Application>,
        server: &Arc<Server>,
        tick: Duration,
        announced: watch::Sender<u64>,
    ) -> Self {
        Self {
            application: application.clone(),
            server: server.clone(),
            period: tick.min(PERIOD),
            since: SystemTime::now(),
            announced,
        }
    }

    /// Announces until `stopped`, or until it turns out that nothing is routed
    /// there. An announcement that is under way ends first: none may come after
    /// [`leave`].
    pub(crate) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut period = interval(self.period);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complaints = Complaints::about(WORKERS);
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                _ = period.tick() => {}
            }
            let route = (Method::POST, WORKERS);
            let body = self.announcement();
            let answer = call(
                &self.application,
                &self.server,
                Chore::Announce,
                route,
                body,
            )
            .await;
            self.announced.send_modify(|count| *count += 1);
            match answer {
                Ok((StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _)) => return,
                Ok((status, _)) => complaints.heard(status),
                Err(error) => return tracing::debug!("no more announcements: {error:#}"),
            }
        }
    }

    fn announcement(&self) -> String {
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
            "for_ms": SILENCE.as_millis() as u64,
        });
        body.to_string()
    }
}

/// Says that this host stops, after its work ended: what it still holds is free
/// for others.
pub(crate) async fn leave(application: &Application, server: &Server) {
    let path = format!("{WORKERS}/{}", application.id);
    let left = async {
        loop {
            let route = (Method::DELETE, path.as_str());
            let answer = call(application, server, Chore::Announce, route, String::new()).await;
            // Its connection was silent: the next one gets another.
            if !matches!(answer, Ok((StatusCode::GATEWAY_TIMEOUT, _))) {
                return answer;
            }
        }
    };
    match timeout(FAREWELL, left).await {
        Ok(Ok((StatusCode::NO_CONTENT | StatusCode::NOT_FOUND, _))) => {}
        Ok(Ok((status, _))) => tracing::warn!("{path} answered {status}"),
        Ok(Err(error)) => tracing::debug!("leaving: {error:#}"),
        Err(_) => tracing::warn!("{path} did not answer within {FAREWELL:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_announcements_may_hang_before_the_host_is_taken_for_dead() {
        let deadline = Chore::Announce.deadline(Duration::from_secs(30));
        let third_begins = PERIOD + 2 * deadline;
        assert!(third_begins < SILENCE, "{third_begins:?}");
    }
}
