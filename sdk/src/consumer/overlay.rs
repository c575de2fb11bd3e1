//! The overlay: what a handler sees of events that were handled before its own and
//! are not committed yet.
//!
//! It is current only while the future of that handler is polled, so that other
//! tasks of the instance see what is stored.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use futures::future::pending;

use super::merge::{Merged, Name, Pending, Settled};
use crate::{documents::Document, journal::Unit, platform};

thread_local! {
    static CURRENT: RefCell<Option<Rc<Overlay>>> = const { RefCell::new(None) };
}

/// The uncommitted writes of a series of events, over what is stored.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    pub(super) merged: RefCell<Merged>,
    /// What was read of the store: version, and when it was created.
    read: RefCell<HashMap<Name, (u64, u64)>>,
    needs_commit: Cell<bool>,
}

/// The future of a handler, which sees an overlay.
pub(super) struct Overlaid<F> {
    pub(super) overlay: Rc<Overlay>,
    pub(super) future: Pin<Box<F>>,
}

/// What became of a handler under an overlay.
#[derive(Debug)]
pub(super) enum Seen<T> {
    Done(T),
    /// It asked for what the overlay cannot answer: commit, and call it again.
    NeedsCommit,
}

impl<F: Future> Future for Overlaid<F> {
    type Output = Seen<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let _current = Current::enter(self.overlay.clone());
        let polled = self.future.as_mut().poll(context);
        if self.overlay.needs_commit.get() {
            return Poll::Ready(Seen::NeedsCommit);
        }
        polled.map(Seen::Done)
    }
}

/// Puts back what was current before.
struct Current(Option<Rc<Overlay>>);

impl Current {
    fn enter(overlay: Rc<Overlay>) -> Self {
        Self(CURRENT.with_borrow_mut(|current| current.replace(overlay)))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| *current = self.0.take());
    }
}

impl Overlay {
    /// Add what the next event led to ([`Merged::add`]). Returns whether it goes
    /// with those before it.
    pub(super) fn add(&self, unit: Unit, author: usize, settles: Settled) -> bool {
        let read = self.read.borrow();
        let base = |name: &Name| read.get(name).map(|(version, _)| *version);
        let added = self.merged.borrow_mut().add(unit, author, settles, base);
        added.is_ok()
    }

    fn look(&self, name: &Name) -> Look {
        match self.merged.borrow().pending(name) {
            None => Look::Stored,
            Some(Pending::Removed) => Look::Removed,
            Some(Pending::Unknown) => Look::Unknown,
            Some(Pending::Put { value, version }) => {
                let now_ms = platform::now_ms();
                let created_at_ms = self.read.borrow().get(name).map_or(now_ms, |read| read.1);
                Look::Put(Document {
                    key: name.1.clone(),
                    version,
                    value: value.to_vec(),
                    created_at_ms,
                    updated_at_ms: now_ms,
                })
            }
        }
    }
}

enum Look {
    Put(Document),
    Removed,
    Stored,
    Unknown,
}

fn current() -> Option<Rc<Overlay>> {
    CURRENT.with_borrow(Clone::clone)
}

/// What the current overlay says of a document; `None` if that is stored.
pub(crate) async fn find(collection: &str, key: &str) -> Option<Option<Document>> {
    let look = current()?.look(&(collection.into(), key.into()));
    match look {
        Look::Put(document) => Some(Some(document)),
        Look::Removed => Some(None),
        Look::Stored => None,
        Look::Unknown => commit_first().await,
    }
}

/// Remember what was read of the store.
pub(crate) fn note(collection: &str, document: Option<&Document>) {
    if let (Some(overlay), Some(document)) = (current(), document) {
        overlay.read.borrow_mut().insert(
            (collection.into(), document.key.clone()),
            (document.version, document.created_at_ms),
        );
    }
}

/// To be awaited before listing a collection.
pub(crate) async fn before_listing(collection: &str) {
    if current().is_some_and(|overlay| overlay.merged.borrow().writes_to(collection)) {
        commit_first().await
    }
}

/// To be awaited before a handler commits something itself: that may expect what
/// is not committed yet.
pub(crate) async fn before_commit() {
    if current().is_some_and(|overlay| overlay.merged.borrow().has_writes()) {
        commit_first().await
    }
    if let Some(overlay) = current() {
        overlay.read.borrow_mut().clear();
    }
}

/// Ends the handler. It is dropped where it awaits this, and called again.
async fn commit_first<T>() -> T {
    if let Some(overlay) = current() {
        overlay.needs_commit.set(true);
    }
    pending().await
}
