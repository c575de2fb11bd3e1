//! Waiting for the lock of a database without keeping a thread.

use std::time::{Duration, Instant};

use super::database::Database;
use super::turns::Turn;
use crate::bindings::spin::sqlite::sqlite::Error;

/// How long to wait before trying for a lock again, in milliseconds, unless its
/// holder says that it is free; the figures are SQLite's.
const BACK_OFF: [u64; 10] = [1, 2, 5, 10, 15, 20, 25, 25, 50, 100];

/// How long to wait before asking other hosts for a turn. Within one, those who
/// wait are told in their order.
const PATIENCE: Duration = Duration::from_millis(50);

/// Waiting for a lock, at most as long as the component wants to.
pub(super) struct Wait {
    started: Instant,
    timeout: Duration,
    tries: usize,
    turn: Option<Turn>,
}

impl Wait {
    /// Begin to wait.
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            started: Instant::now(),
            timeout,
            tries: 0,
            turn: None,
        }
    }

    /// Whether who waits is to write next.
    pub(super) fn has_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// Wait a while, or fail with `error` if it has been long enough.
    pub(super) async fn or(&mut self, error: Error, database: &Database) -> Result<(), Error> {
        let waited = self.started.elapsed();
        let left = self.timeout.saturating_sub(waited);
        if left.is_zero() {
            return Err(error);
        }
        if self.turn.is_none() && waited >= PATIENCE {
            self.turn = database.turns().take();
            if self.turn.is_some() {
                // The lock will be free soon.
                self.tries = 0;
            }
        }
        let pause = BACK_OFF
            .get(self.tries)
            .or(BACK_OFF.last())
            .copied()
            .unwrap_or(100);
        self.tries += 1;
        // Elapsing is the usual end where another process has the lock.
        let pause = Duration::from_millis(pause).min(left);
        let _ = tokio::time::timeout(pause, database.released.notified()).await;
        Ok(())
    }
}
