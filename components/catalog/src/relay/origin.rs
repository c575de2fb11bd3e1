//! What the relay knows of an origin: how fast it may be asked, and whether it
//! is worth asking at all.
//!
//! The state is a document, so that all instances on all hosts share one rate and
//! one circuit breaker.

use emporium_sdk::document::Document;
use serde::{Deserialize, Serialize};

/// So many failures in a row open the circuit.
const THRESHOLD: u32 = 5;

/// How long an open circuit stays open before one request may try.
const COOLDOWN_MS: u64 = 5_000;

/// The longest a server can ask to be left alone.
const LONGEST_REST_MS: u64 = 300_000;

/// How many places in the queue are taken at once: one write for so many
/// requests.
const BLOCK: u64 = 16;

/// An origin, as all instances see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) origin: String,
    /// The next free place in the queue, in microseconds since the Unix epoch.
    next_us: u64,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// While the circuit is open: until when, in milliseconds.
    pub(crate) closed_for_requests_until_ms: u64,
}

/// The moments at which requests may be sent, in microseconds since the Unix
/// epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permits {
    next_us: u64,
    step_us: u64,
    left: u64,
}

/// The circuit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// How long it will be.
    pub(crate) for_ms: u64,
}

impl Origin {
    /// An origin that nothing is known of.
    pub(crate) fn new(origin: &str) -> Self {
        Self {
            origin: origin.into(),
            ..Self::default()
        }
    }

    /// Whether requests are refused without being sent.
    pub(crate) fn is_open(&self, now_ms: u64) -> bool {
        self.failures >= THRESHOLD && now_ms < self.closed_for_requests_until_ms
    }

    /// Take places in the queue. After an open circuit there is one place only,
    /// and the circuit stays open for others until its outcome is known.
    pub(crate) fn reserve(&mut self, now_ms: u64, per_second: u32) -> Result<Permits, Open> {
        if self.is_open(now_ms) {
            return Err(Open {
                for_ms: self.closed_for_requests_until_ms - now_ms,
            });
        }
        let step_us = 1_000_000 / u64::from(per_second.max(1));
        let count = match self.failures >= THRESHOLD {
            true => {
                self.closed_for_requests_until_ms = now_ms + COOLDOWN_MS;
                1
            }
            // A slow rate is not reserved for long: what is not used is lost.
            false => BLOCK.min(u64::from(per_second).div_ceil(4)).max(1),
        };
        let first = self.next_us.max(now_ms * 1_000);
        self.next_us = first + count * step_us;
        Ok(Permits {
            next_us: first,
            step_us,
            left: count,
        })
    }

    /// Note an answer. Returns whether that changed anything.
    pub(crate) fn succeeded(&mut self) -> bool {
        let troubled = self.failures > 0;
        self.failures = 0;
        self.closed_for_requests_until_ms = 0;
        troubled
    }

    /// Note a failure; `rest_ms` is how long the server asks to be left alone.
    pub(crate) fn failed(&mut self, now_ms: u64, rest_ms: Option<u64>) {
        self.failures = match rest_ms {
            // It says so itself: no need to count.
            Some(_) => self.failures.max(THRESHOLD),
            None => self.failures.saturating_add(1),
        };
        let rest = rest_ms.unwrap_or(0).clamp(COOLDOWN_MS, LONGEST_REST_MS);
        if self.failures >= THRESHOLD {
            self.closed_for_requests_until_ms = now_ms + rest;
        }
    }
}

impl Permits {
    /// The next moment, if any is left.
    pub(crate) fn take(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        let at = self.next_us;
        self.next_us += self.step_us;
        Some(at)
    }
}

impl Document for Origin {
    const COLLECTION: &'static str = "relay-origins";

    fn key(&self) -> String {
        self.origin.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(permits: Result<Permits, Open>) -> Vec<u64> {
        let mut permits = permits.unwrap_or_default();
        std::iter::from_fn(|| permits.take()).collect()
    }

    #[test]
    fn all_who_ask_share_one_rate() {
        let mut origin = Origin::new("http://a");
        let mut all = moments(origin.reserve(1_000, 100));
        all.extend(moments(origin.reserve(1_000, 100)));
        let expected: Vec<u64> = (0..32).map(|place| 1_000_000 + place * 10_000).collect();
        assert_eq!(all, expected);
        // What nobody asked for is not saved up.
        let later = moments(origin.reserve(60_000, 100));
        assert_eq!(later.first(), Some(&60_000_000));
    }

    #[test]
    fn five_failures_in_a_row_open_the_circuit() {
        let mut origin = Origin::new("http://a");
        for _ in 0..4 {
            origin.failed(0, None);
        }
        assert!(!origin.is_open(0));
        origin.failed(0, None);
        assert_eq!(origin.reserve(1_000, 100), Err(Open { for_ms: 4_000 }));
    }

    #[test]
    fn one_request_tries_an_open_circuit() {
        let mut origin = Origin::new("http://a");
        (0..5).for_each(|_| origin.failed(0, None));
        assert_eq!(moments(origin.reserve(6_000, 100)).len(), 1);
        assert!(origin.reserve(6_000, 100).is_err(), "the others wait");
        assert!(origin.succeeded());
        assert_eq!(moments(origin.reserve(6_000, 100)).len(), 16);
        assert!(!origin.succeeded(), "nothing to note");
    }

    #[test]
    fn a_server_that_asks_for_rest_gets_it() {
        let mut origin = Origin::new("http://a");
        origin.failed(0, Some(30_000));
        assert!(origin.is_open(29_999) && !origin.is_open(30_000));
        origin.failed(0, Some(86_400_000));
        assert!(!origin.is_open(300_000), "not for ever");
    }
}
