//! The way to an origin: a place in its queue, and a circuit breaker.

use std::time::{Duration, Instant};

use emporium_sdk::{
    document,
    trace::Trace,
    unit::{Unit, commit_decided},
};
use futures::lock::Mutex;
use spin_sdk::time::sleep;

use super::{
    RelayError, now_ms,
    origin::{Open, Origin, Permits},
    recent::Recent,
};
use crate::SERVICE;

/// The longest queue that is worth standing in.
const LONGEST_QUEUE: Duration = Duration::from_secs(10);

/// The gate of one origin, as this instance uses it.
#[derive(Debug)]
pub(crate) struct Gate {
    origin: String,
    per_second: u32,
    local: Mutex<Local>,
}

#[derive(Debug, Default)]
struct Local {
    permits: Permits,
    recent: Recent,
    /// Whether the circuit was open, as far as this instance knows.
    open: bool,
}

impl Gate {
    pub(crate) fn new(origin: &str, per_second: u32) -> Self {
        Self {
            origin: origin.into(),
            per_second,
            local: Mutex::default(),
        }
    }

    /// Wait for a place in the queue, and for an open circuit to close, but no
    /// longer than `patience`.
    pub(crate) async fn enter(&self, patience: Duration) -> Result<(), RelayError> {
        let begun = Instant::now();
        loop {
            let wait = match self.place().await? {
                Ok(at_us) => {
                    let wait = Duration::from_micros(at_us.saturating_sub(now_ms() * 1_000));
                    if begun.elapsed() + wait > patience.max(LONGEST_QUEUE) {
                        return Err(RelayError::Unavailable(format!(
                            "{} requests a second are not enough",
                            self.per_second
                        )));
                    }
                    if !wait.is_zero() {
                        sleep(wait).await;
                    }
                    return Ok(());
                }
                Err(Open { for_ms }) => Duration::from_millis(for_ms),
            };
            if begun.elapsed() + wait > patience {
                return Err(RelayError::Unavailable(format!(
                    "`{}` fails; it is not asked for another {} ms",
                    self.origin,
                    wait.as_millis()
                )));
            }
            // Those who wait look again at different times.
            sleep(wait + Duration::from_millis(now_ms() % 50)).await;
        }
    }

    async fn place(&self) -> Result<Result<u64, Open>, RelayError> {
        // Held while the document is written: the others wait for its places.
        let mut local = self.local.lock().await;
        if let Some(at) = local.permits.take() {
            return Ok(Ok(at));
        }
        let (open, permits) = self
            .change(|origin| {
                let open = origin.tries_at_ms.is_some();
                (open, origin.reserve(now_ms(), self.per_second))
            })
            .await?;
        local.open = open;
        Ok(permits.map(|mut permits| {
            let at = permits.take().unwrap_or_default();
            local.permits = permits;
            at
        }))
    }

    /// Note that the origin answered.
    pub(crate) async fn succeeded(&self) {
        let mut local = self.local.lock().await;
        if local.open {
            let closed = self.change(Origin::close).await;
            local.open = closed.is_err();
            local.recent = Recent::default();
        }
        local.recent.note(false);
    }

    /// Note that it did not, or asked for rest.
    pub(crate) async fn failed(&self, rest_ms: Option<u64>) {
        let mut local = self.local.lock().await;
        local.recent.note(true);
        if !local.recent.is_bad() && rest_ms.is_none() && !local.open {
            return;
        }
        if let Err(error) = self.change(|origin| origin.open(now_ms(), rest_ms)).await {
            eprintln!("opening the circuit of `{}`: {error}", self.origin);
        }
        local.open = true;
        // Places that were taken in better times.
        local.permits = Permits::default();
    }

    async fn change<T>(&self, change: impl Fn(&mut Origin) -> T) -> Result<T, RelayError> {
        commit_decided(|| async {
            let mut unit = Unit::new(SERVICE, Trace::start());
            let answer = match document::get::<Origin>(&self.origin).await? {
                Some(mut origin) => {
                    let answer = change(&mut origin.value);
                    unit.update(&origin)?;
                    answer
                }
                None => {
                    let mut origin = Origin::new(&self.origin);
                    let answer = change(&mut origin);
                    unit.create(&origin)?;
                    answer
                }
            };
            Ok((unit, answer))
        })
        .await
    }
}
