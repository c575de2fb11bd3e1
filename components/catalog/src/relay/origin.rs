//! What the relay knows of an origin: how fast it may be asked, and whether it
//! is worth asking at all.
//!
//! The state is a document, so that all instances on all hosts share one rate and
//! one circuit breaker.

use emporium_sdk::document::Document;
use serde::{Deserialize, Serialize};

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
    /// While its circuit is open: when one request may try, in milliseconds since
    /// the Unix epoch.
    pub(crate) tries_at_ms: Option<u64>,
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

    /// Take places in the queue. While the circuit is open there is none; then one,
    /// and the circuit stays open for others until its outcome is known.
    pub(crate) fn reserve(&mut self, now_ms: u64, per_second: u32) -> Result<Permits, Open> {
        let step_us = 1_000_000 / u64::from(per_second.max(1));
        let count = match self.tries_at_ms {
            Some(at) if now_ms < at => {
                return Err(Open {
                    for_ms: at - now_ms,
                });
            }
            Some(_) => {
                self.tries_at_ms = Some(now_ms + COOLDOWN_MS);
                1
            }
            // A slow rate is not reserved for long: what is not used is lost.
            None => BLOCK.min(u64::from(per_second).div_ceil(4)).max(1),
        };
        let first = self.next_us.max(now_ms * 1_000);
        self.next_us = first + count * step_us;
        Ok(Permits {
            next_us: first,
            step_us,
            left: count,
        })
    }

    /// Close the circuit.
    pub(crate) fn close(&mut self) {
        self.tries_at_ms = None;
    }

    /// Open the circuit; `rest_ms` is how long the server asks to be left alone.
    pub(crate) fn open(&mut self, now_ms: u64, rest_ms: Option<u64>) {
        let rest = rest_ms.unwrap_or(0).clamp(COOLDOWN_MS, LONGEST_REST_MS);
        self.tries_at_ms = Some(now_ms + rest);
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
    fn one_request_tries_an_open_circuit() {
        let mut origin = Origin::new("http://a");
        origin.open(0, None);
        assert_eq!(origin.reserve(1_000, 100), Err(Open { for_ms: 4_000 }));
        assert_eq!(moments(origin.reserve(6_000, 100)).len(), 1);
        assert!(origin.reserve(6_000, 100).is_err(), "the others wait");
        origin.close();
        assert_eq!(moments(origin.reserve(6_000, 100)).len(), 16);
    }

    #[test]
    fn a_server_that_asks_for_rest_gets_it() {
        let mut origin = Origin::new("http://a");
        origin.open(0, Some(30_000));
        assert_eq!(origin.tries_at_ms, Some(30_000));
        origin.open(0, Some(86_400_000));
        assert_eq!(origin.tries_at_ms, Some(300_000), "not for ever");
    }
}
