//! The clocks guests see: those of the machine, plus offsets tests can move.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// Clones share their offsets.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    wall_offset_ms: Arc<AtomicI64>,
    monotonic_offset_ms: Arc<AtomicU64>,
}

impl Clock {
    /// Moves both clocks of all guests forward.
    pub fn advance(&self, by: Duration) {
        self.wall_offset_ms.fetch_add(signed_ms(by), Relaxed);
        let by = by.as_millis().try_into().unwrap_or(u64::MAX);
        self.monotonic_offset_ms.fetch_add(by, Relaxed);
    }

    /// Sets the wall clock of all guests back. The other one only moves forward.
    pub fn set_back(&self, by: Duration) {
        self.wall_offset_ms.fetch_sub(signed_ms(by), Relaxed);
    }
}

pub(crate) struct Wall(pub(crate) Clock);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let offset = self.0.wall_offset_ms.load(Relaxed);
        let by = Duration::from_millis(offset.unsigned_abs());
        if offset < 0 {
            now.saturating_sub(by)
        } else {
            now.saturating_add(by)
        }
    }
}

pub(crate) struct Monotonic {
    start: Instant,
    clock: Clock,
}

impl Monotonic {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            start: Instant::now(),
            clock,
        }
    }
}

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        let offset = self.clock.monotonic_offset_ms.load(Relaxed);
        let now = self.start.elapsed() + Duration::from_millis(offset);
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    }
}

fn signed_ms(duration: Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}
