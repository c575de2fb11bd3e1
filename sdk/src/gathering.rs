//! Units of several tasks, committed together: what costs is the commit, not what
//! is in it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{channel::oneshot, lock::Mutex as Turn};

use crate::{journal::CommitError, unit::Unit};

/// Where the tasks of an instance bring units that may wait a moment for others.
///
/// Each is committed or refused by itself, as by [`Unit::commit`]. It is for units
/// that are many and small, and not for those that a person waits for.
#[derive(Debug)]
pub struct Gathering {
    linger: Duration,
    waiting: Mutex<Vec<(Unit, oneshot::Sender<Outcome>)>>,
    turn: Turn<()>,
}

type Outcome = Result<Vec<u64>, CommitError>;

impl Gathering {
    /// One that waits so long for company.
    pub const fn new(linger: Duration) -> Self {
        Self {
            linger,
            waiting: Mutex::new(Vec::new()),
            turn: Turn::new(()),
        }
    }

    /// Commit a unit. Returns the new version of each document, in the order
    /// written.
    pub async fn commit(&self, unit: Unit) -> Outcome {
        let (sender, mut outcome) = oneshot::channel();
        self.waiting().push((unit, sender));
        let turn = self.turn.lock().await;
        if let Ok(Some(outcome)) = outcome.try_recv() {
            return outcome;
        }
        spin_sdk::time::sleep(self.linger).await;
        let (units, senders): (Vec<_>, Vec<_>) = self.waiting().drain(..).unzip();
        for (outcome, sender) in Unit::commit_all(units).await.into_iter().zip(senders) {
            // Somebody who was cut off does not ask.
            let _ = sender.send(outcome);
        }
        drop(turn);
        outcome
            .await
            .unwrap_or_else(|_| Err(CommitError::Other("a unit was not answered".into())))
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<(Unit, oneshot::Sender<Outcome>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
