//! The way to an origin: a place in its queue, and a circuit breaker.

use std::time::Duration;

use emporium_sdk::{
    document,
    trace::Trace,
    unit::{Unit, commit_decided},
};
use futures::lock::Mutex;

use super::{
    RelayError, now_ms,
    origin::{Open, Origin, Permits},
};
use crate::SERVICE;

/// A request that would have to wait longer gives way to others.
const LONGEST_WAIT_MS: u64 = 10_000;

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
    /// Whether the document may know of failures.
    troubled: bool,
}

impl Gate {
    pub(crate) fn new(origin: &str, per_second: u32) -> Self {
        Self {
            origin: origin.into(),
            per_second,
            local: Mutex::default(),
        }
    }

    /// Wait for a place in the queue.
    pub(crate) async fn enter(&self) -> Result<(), RelayError> {
        let at_us = self.place().await?;
        let wait_us = at_us.saturating_sub(now_ms() * 1_000);
        if wait_us > LONGEST_WAIT_MS * 1_000 {
            return Err(RelayError::Unavailable(format!(
                "{} requests a second are not enough",
                self.per_second
            )));
        }
        if wait_us > 0 {
            spin_sdk::time::sleep(Duration::from_micros(wait_us)).await;
        }
        Ok(())
    }

    async fn place(&self) -> Result<u64, RelayError> {
        // Held while the document is written: the others wait for its places.
        let mut local = self.local.lock().await;
        if let Some(at) = local.permits.take() {
            return Ok(at);
        }
        let reserved = self
            .change(|origin| {
                let troubled = origin.failures > 0;
                let permits = origin.reserve(now_ms(), self.per_second);
                (permits, troubled)
            })
            .await?;
        let (permits, troubled) = reserved;
        local.troubled |= troubled;
        match permits {
            Ok(mut permits) => {
                let at = permits.take().unwrap_or_default();
                local.permits = permits;
                Ok(at)
            }
            Err(Open { for_ms }) => Err(RelayError::Unavailable(format!(
                "`{}` fails; it is not asked for another {for_ms} ms",
                self.origin
            ))),
        }
    }

    /// Note that the origin answered.
    pub(crate) async fn succeeded(&self) {
        let mut local = self.local.lock().await;
        if !local.troubled {
            return;
        }
        let noted = self
            .change(|origin| {
                origin.succeeded();
            })
            .await;
        local.troubled = noted.is_err();
    }

    /// Note that it did not, or asked for rest.
    pub(crate) async fn failed(&self, rest_ms: Option<u64>) {
        let mut local = self.local.lock().await;
        local.troubled = true;
        let opened = self
            .change(|origin| {
                origin.failed(now_ms(), rest_ms);
                origin.is_open(now_ms())
            })
            .await;
        if matches!(opened, Ok(true)) {
            // Places that were taken in better times.
            local.permits = Permits::default();
        }
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
