//! Traps: what holds a connection at a chosen moment, so that the host behind it
//! can be killed exactly then.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

/// A moment in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A statement with this text is about to be sent to Postgres.
    BeforeStatement(&'static str),
    /// A statement with this text was executed, and its reply, which contains
    /// `reply`, is about to be handed to the host.
    AfterStatement {
        text: &'static str,
        reply: &'static str,
    },
    /// A message is about to be published on a Redis channel.
    BeforePublish,
}

/// The trap that is set, if one is.
#[derive(Default)]
pub(super) struct Traps(Mutex<Option<Trap>>);

pub(super) struct Trap {
    pub(super) moment: Moment,
    sprung: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

/// A trap that was set. Dropping it closes the connection that it holds.
pub struct Armed {
    sprung: oneshot::Receiver<()>,
    _release: oneshot::Sender<()>,
}

impl Armed {
    /// Wait until it holds a connection.
    pub async fn sprung(&mut self) -> bool {
        (&mut self.sprung).await.is_ok()
    }
}

impl Traps {
    pub(super) fn arm(&self, moment: Moment) -> Armed {
        let (sprung, is_sprung) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let trap = Trap {
            moment,
            sprung,
            released,
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(trap);
        Armed {
            sprung: is_sprung,
            _release: release,
        }
    }

    /// What is being waited for.
    pub(super) fn moment(&self) -> Option<Moment> {
        let trap = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trap.as_ref().map(|trap| trap.moment)
    }

    /// Take the trap if it is the one that waits for this moment. It springs
    /// once.
    pub(super) fn take(&self, moment: Moment) -> Option<Trap> {
        let mut trap = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trap.take_if(|trap| trap.moment == moment)
    }
}

impl Trap {
    /// Hold the connection until it may end.
    pub(super) async fn spring(self) {
        if self.sprung.send(()).is_ok() {
            let _ = self.released.await;
        }
    }
}
