//! The terms under which a subscription is served: its policy, as it is stored.

use crate::bindings::deliveries::{AfterDeath, DuringRetry, Policy};

/// How much longer each wait between attempts is than the one before. With 4,
/// eight attempts that begin within a tenth of a second last for minutes.
pub const GROWTH: u64 = 4;

/// The circuit breaker compares deaths and settlements of this span of the clock and
/// of the one before.
pub const PAUSE_SPAN_MS: u64 = 30_000;

/// A policy, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub max_attempts: u32,
    pub backoff_base_ms: u64,
    pub backoff_cap_ms: u64,
    /// Whether a delivery that waits for its next attempt holds its key.
    pub retry_blocks: bool,
    /// Whether a dead delivery holds its key.
    pub blocks: bool,
    pub pause_after: u32,
    pub pause_ms: u64,
}

impl From<Policy> for Terms {
    /// Waits beyond the integers of databases would be read back as others.
    fn from(policy: Policy) -> Self {
        let storable = |wait: u64| wait.min(i64::MAX as u64);
        Self {
            max_attempts: policy.max_attempts.min(i32::MAX as u32),
            backoff_base_ms: storable(policy.backoff_base_ms),
            backoff_cap_ms: storable(policy.backoff_cap_ms),
            retry_blocks: matches!(policy.during_retry, DuringRetry::Block),
            blocks: matches!(policy.after_death, AfterDeath::Block),
            pause_after: policy.pause_after.min(i32::MAX as u32),
            pause_ms: storable(policy.pause_ms),
        }
    }
}

impl From<Terms> for Policy {
    fn from(terms: Terms) -> Self {
        Self {
            max_attempts: terms.max_attempts,
            backoff_base_ms: terms.backoff_base_ms,
            backoff_cap_ms: terms.backoff_cap_ms,
            during_retry: if terms.retry_blocks {
                DuringRetry::Block
            } else {
                DuringRetry::Proceed
            },
            after_death: if terms.blocks {
                AfterDeath::Block
            } else {
                AfterDeath::Proceed
            },
            pause_after: terms.pause_after,
            pause_ms: terms.pause_ms,
        }
    }
}

impl Terms {
    /// The wait after a number of failed attempts, spread at random.
    pub fn backoff_ms(&self, failed: u32) -> u64 {
        self.spread_backoff_ms(failed, rand::random_range(-1.0..=1.0))
    }

    /// The same, spread by `spread`, which is from -1 to 1.
    fn spread_backoff_ms(&self, failed: u32, spread: f64) -> u64 {
        let growth = GROWTH.saturating_pow(failed.saturating_sub(1));
        let wait = self
            .backoff_base_ms
            .saturating_mul(growth)
            .min(self.backoff_cap_ms);
        (wait as f64 * (1.0 + spread.clamp(-1.0, 1.0) / 4.0)).round() as u64
    }

    /// Whether a subscription pauses of which so many deliveries used up their
    /// attempts lately, and so many were settled.
    pub fn pauses_after(&self, deaths: u64, settled: u64) -> bool {
        self.pause_after > 0 && deaths >= u64::from(self.pause_after) && deaths >= settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        max_attempts: 5,
        backoff_base_ms: 100,
        backoff_cap_ms: 1000,
        retry_blocks: true,
        blocks: false,
        pause_after: 0,
        pause_ms: 0,
    };

    #[test]
    fn the_wait_grows_fourfold_up_to_its_cap() {
        let waits = [1, 2, 3, u32::MAX].map(|failed| TERMS.spread_backoff_ms(failed, 0.0));
        assert_eq!(waits, [100, 400, 1000, 1000]);
    }

    #[test]
    fn the_wait_is_spread_by_a_quarter() {
        assert_eq!(
            [-1.0, 1.0].map(|spread| TERMS.spread_backoff_ms(9, spread)),
            [750, 1250]
        );
    }

    #[test]
    fn an_endless_wait_does_not_overflow() {
        let terms = Terms {
            backoff_base_ms: u64::MAX,
            backoff_cap_ms: u64::MAX,
            ..TERMS
        };
        assert_eq!(terms.spread_backoff_ms(7, 1.0), u64::MAX);
    }

    #[test]
    fn nothing_pauses_after_no_deaths() {
        assert!(!TERMS.pauses_after(u64::MAX, 0));
        let careful = Terms {
            pause_after: 2,
            ..TERMS
        };
        assert_eq!(
            [(1, 0), (2, 0), (3, 3), (3, 4)]
                .map(|(deaths, settled)| careful.pauses_after(deaths, settled)),
            [false, true, true, false]
        );
    }
}
