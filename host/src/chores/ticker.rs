//! The ticker: makes services look for work that is due, and has what is parked or
//! old seen to.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use wasmtime_wasi::HostWallClock as _;

use super::{Chore, Complaints, call, pace::Pace};
use crate::{application::Application, clock, http::Server};

/// Makes services look for work that is due, and nothing else.
const WAKE: &str = "/platform/tick?part=wake";

/// Everything else that a tick does.
const TIDY_UP: &str = "/platform/tick?part=tidy-up";

/// How long to wait for the first announcement: work that is woken before belongs
/// to a host that nobody knows.
const ANNOUNCEMENT: Duration = Duration::from_secs(5);

/// Two clocks that are further apart than before by so much have been moved.
const LEAP: Duration = Duration::from_secs(1);

/// Compares the wall clock with one that only moves while the machine is awake.
struct Leap {
    wall: Duration,
    instant: Instant,
}

impl Leap {
    fn new(wall: Duration) -> Self {
        Self {
            wall,
            instant: Instant::now(),
        }
    }

    /// Whether the wall clock leapt forward since this was last asked.
    fn happened(&mut self, wall: Duration) -> bool {
        let awake = self.instant.elapsed();
        let passed = wall.saturating_sub(self.wall);
        *self = Self::new(wall);
        passed > awake + LEAP
    }
}

/// Ticks for an application.
#[derive(Clone)]
pub(crate) struct Ticker {
    application: Arc<Application>,
    server: Arc<Server>,
    period: Duration,
    announced: watch::Receiver<u64>,
    stopped: watch::Receiver<bool>,
}

impl Ticker {
    /// A ticker that begins when the host was announced, and ends when it is
    /// `stopped`.
    pub(crate) fn new(
        application: &Arc<Application>,
        server: &Arc<Server>,
        period: Duration,
        announced: watch::Receiver<u64>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            application: application.clone(),
            server: server.clone(),
            period,
            announced,
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

    /// The time that guests see.
    fn now(&self) -> Duration {
        clock::Wall(self.application.options.clock.clone()).now()
    }

    async fn await_announcements(&mut self, count: u64) {
        // An error means that there is no announcer.
        let announced = self.announced.wait_for(|announced| *announced >= count);
        let _ = timeout(ANNOUNCEMENT, announced).await;
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
        self.await_announcements(1).await;
        let mut leap = Leap::new(self.now());
        let mut complaints = Complaints::about(path);
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stopped| *stopped) => return,
                () = sleep(pause) => {}
            }
            if leap.happened(self.now()) {
                // After a leap, or a sleep of the machine, nobody was heard of in time.
                // What this host holds would be taken from it. The announcement that
                // is under way may have begun before.
                let announced = *self.announced.borrow();
                self.await_announcements(announced + 2).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_leaps_is_noticed_once() {
        let mut leap = Leap::new(Duration::from_secs(100));
        assert!(!leap.happened(Duration::from_millis(100_500)));
        assert!(leap.happened(Duration::from_millis(102_600)));
        assert!(!leap.happened(Duration::from_millis(102_700)));
        assert!(!leap.happened(Duration::from_secs(50)), "it was set back");
    }
}
