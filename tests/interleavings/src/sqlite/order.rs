//! Who may execute the next statement.
//!
//! Only one transaction writes at a time, and nobody sees what it wrote before it
//! commits. So a session is held before it begins a transaction, before it commits
//! one, and before each statement outside of transactions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc::UnboundedSender};

use crate::world::Happening;

/// What the sessions on one file have to heed.
#[derive(Default)]
pub(super) struct Order {
    sessions: Mutex<Sessions>,
    changed: Notify,
}

#[derive(Default)]
struct Sessions {
    /// Who is in a transaction.
    writer: Option<usize>,
    all: Vec<Session>,
}

struct Session {
    says: UnboundedSender<Happening>,
    /// Whether it is held at all.
    is_led: bool,
    stops: Vec<usize>,
    step: usize,
    is_held: bool,
    /// Whether it is to stop at its next step.
    has_turn: bool,
    is_blocked: bool,
    in_transaction: bool,
}

impl Order {
    pub(super) fn add(&self, says: UnboundedSender<Happening>) {
        self.lock().all.push(Session {
            says,
            is_led: false,
            stops: Vec::new(),
            step: 0,
            is_held: false,
            has_turn: true,
            is_blocked: false,
            in_transaction: false,
        });
    }

    /// Lead a session through its next call.
    pub(super) fn lead(&self, session: usize, stops: &[usize]) {
        let mut sessions = self.lock();
        let session = &mut sessions.all[session];
        session.is_led = true;
        session.has_turn = true;
        session.stops = stops.to_vec();
        session.step = 0;
    }

    /// Take the turn of a session that is blocked.
    pub(super) fn hold(&self, session: usize) {
        self.lock().all[session].has_turn = false;
    }

    /// Let a session go.
    pub(super) fn release(&self, session: usize) {
        let mut sessions = self.lock();
        sessions.all[session].has_turn = true;
        sessions.all[session].is_held = false;
        drop(sessions);
        self.changed.notify_waiters();
    }

    /// Whether a session cannot go on before another one commits.
    pub(super) fn is_blocked(&self, session: usize) -> bool {
        let sessions = self.lock();
        let others = sessions.writer.is_some_and(|writer| writer != session);
        sessions.all[session].is_blocked && others
    }

    /// A session has come back from its call.
    pub(super) fn end(&self, session: usize) {
        self.lock().end_transaction(session);
        self.changed.notify_waiters();
    }

    /// Lead nobody any more.
    pub(super) fn let_all_go(&self) {
        for session in &mut self.lock().all {
            session.is_led = false;
            session.is_held = false;
            session.has_turn = true;
        }
        self.changed.notify_waiters();
    }

    /// Wait until a session may execute a statement.
    pub(super) async fn wait(self: Arc<Self>, number: usize, statement: String) {
        let statement = statement.trim_start();
        let begins = statement.starts_with("BEGIN");
        let ends = statement.starts_with("COMMIT") || statement.starts_with("ROLLBACK");
        if statement.starts_with("PRAGMA") {
            return;
        }
        let first_word = statement.split_whitespace().take(4);
        let label = first_word.collect::<Vec<_>>().join(" ");
        {
            let mut sessions = self.lock();
            if sessions.all[number].in_transaction && !ends {
                return;
            }
            if !sessions.all[number].in_transaction && sessions.writer == Some(number) {
                // What was committed is so by now.
                sessions.writer = None;
                self.changed.notify_waiters();
            }
            sessions.all[number].step(label.clone());
        }
        self.until_let_go(number).await;
        if begins {
            self.until_free(number, label).await;
        }
        if ends {
            self.lock().all[number].in_transaction = false;
        }
    }

    async fn until_let_go(&self, number: usize) {
        loop {
            let changed = self.changed.notified();
            if !self.lock().all[number].is_held {
                return;
            }
            changed.await;
        }
    }

    async fn until_free(&self, number: usize, label: String) {
        loop {
            let changed = self.changed.notified();
            let was_held = {
                let mut sessions = self.lock();
                let is_free = sessions.writer.is_none_or(|writer| writer == number);
                let session = &mut sessions.all[number];
                if is_free && session.has_turn {
                    session.is_blocked = false;
                    session.in_transaction = true;
                    sessions.writer = Some(number);
                    return;
                }
                if is_free && !session.is_held {
                    session.is_blocked = false;
                    session.is_held = true;
                    session.say(true, label.clone());
                } else if !is_free && !session.is_blocked {
                    session.is_blocked = true;
                    let _ = session.says.send(Happening::Blocked);
                }
                session.is_held
            };
            let _ = was_held;
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    fn end_transaction(&mut self, session: usize) {
        self.all[session].in_transaction = false;
        self.all[session].is_blocked = false;
        if self.writer == Some(session) {
            self.writer = None;
        }
    }
}

impl Session {
    fn step(&mut self, label: String) {
        if !self.is_led {
            return;
        }
        self.step += 1;
        self.is_held = !self.has_turn || self.stops.contains(&self.step);
        self.say(self.is_held, label);
    }

    fn say(&self, held: bool, label: String) {
        let step = self.step;
        let _ = self.says.send(match held {
            true => Happening::Held { step, label },
            false => Happening::Step { step, label },
        });
    }
}
