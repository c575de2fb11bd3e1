//! The ticker: makes services look for work that is due, and has what is parked or
//! old seen to.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{Chore, Complaints, call, pace::Pace};
use crate::{application::Application, http::Server};

/// Makes services look for work that is due, and nothing else.
const WAKE: &str = "/platform/tick?part=wake";

/// Everything else that a tick does.
const TIDY_UP: &str = "/platform/tick?part=tidy-up";

/// How long to wait for the first announcement: work that is woken before belongs
/// to a host that nobody knows.
const ANNOUNCEMENT: Duration = Duration::from_secs(5);

/// Ticks for an application.
#[derive(Clone)]
pub(crate) struct Ticker {
    application: Arc<Application>,
    server: Arc<Server>,
    period: Duration,
    has_begun: watch::Receiver<bool>,
    stopped: watch::Receiver<bool>,
}

impl Ticker {
    /// A ticker that begins when the host was announced, and ends when it is
    /// `stopped`.
    pub(crate) fn new(
        application: &Arc<Application>,
        server: &Arc<Server>,
        period: Duration,
        has_begun: watch::Receiver<bool>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            application: application.clone(),
            server: server.clone(),
            period,
            has_begun,
            stopped,
        }
    }

    /// Wakes what is due when it falls due, and once in a period in any case.
    pub(crate) async fn wake(self) {
        let mut pace = Pace::new(self.period);
        self.repeat(Chore::Wake, WAKE, |answer| {
            pace.after(answer.and_then(|body| serde_json::from_slice(body).ok()))
        })
        .await;
    }

    /// Tidies up once in a period.
    pub(crate) async fn tidy_up(self) {
        let period = self.period;
        self.repeat(Chore::TidyUp, TIDY_UP, |_| period).await;
    }

    /// Calls `path` until the host is stopped, or until it turns out that nothing
    /// is routed there. `wait` says how long to wait after an answer, and is given
    /// its body if the call succeeded.
    async fn repeat(
        mut self,
        chore: Chore,
        path: &'static str,
        mut wait: impl FnMut(Option<&[u8]>) -> Duration,
    ) {
        // An error means that there is no announcer.
        let announced = self.has_begun.wait_for(|has_begun| *has_begun);
        let _ = timeout(ANNOUNCEMENT, announced).await;
        let mut complaints = Complaints::about(path);
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stopped| *stopped) => return,
                () = sleep(pause) => {}
            }
            let route = (Method::POST, path);
            let answer = call(&self.application, &self.server, chore, route, String::new());
            pause = match answer.await {
                Ok((StatusCode::NOT_FOUND, _)) => return,
                Ok((status, body)) => {
                    complaints.heard(status);
                    wait(status.is_success().then_some(&body))
                }
                Err(error) => return tracing::debug!("no more ticks: {error:#}"),
            };
        }
    }
}
