//! The clock guests see: that of the machine, plus an offset tests can move.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// Clones share their offset. Time only moves forward for the monotonic clock,
/// so it ignores a negative offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Moves both clocks of all guests forward.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(by, Relaxed);
    }

    fn offset(&self) -> Duration {
        Duration::from_millis(self.offset_ms.load(Relaxed).try_into().unwrap_or(0))
    }
}

pub(crate) struct Wall(pub(crate) Clock);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.unwrap_or_default() + self.0.offset()
    }
}

pub(crate) struct Monotonic {
    start: std::time::Instant,
    clock: Clock,
}

impl Monotonic {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            start: std::time::Instant::now(),
            clock,
        }
    }
}

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        let now = self.start.elapsed() + self.clock.offset();
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    }
}
