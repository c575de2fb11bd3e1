//! Quarantine: a delivery that may be poisonous is handled with nothing else in
//! flight in this instance. An instance that is killed takes everything along that
//! it handles, of any subscription.

use std::cell::Cell;

use async_lock::{RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard};
use futures::future::{FutureExt as _, LocalBoxFuture};

// An instance has one thread; each unit test has its own.
thread_local! {
    /// Held by everything that claims or handles something.
    static HANDLING: &'static RwLock<()> = Box::leak(Box::new(RwLock::new(())));

    /// Whether claims wait for each other, so that never more than one possibly
    /// poisonous delivery waits to be handled. They are handed out first: after a
    /// claim that found none, until one does again, claims need not wait.
    static CLAIMS_ARE_SERIAL: Cell<bool> = const { Cell::new(true) };
}

/// The permission to claim or handle something.
pub(super) enum Permit {
    Shared(RwLockReadGuard<'static, ()>),
    /// Nothing else claims.
    OnlyClaim(RwLockUpgradableReadGuard<'static, ()>),
    /// Nothing else claims or handles anything.
    Exclusive(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

impl Permit {
    /// Wait until something may be claimed.
    pub(super) async fn acquire() -> Self {
        if CLAIMS_ARE_SERIAL.get() {
            Self::OnlyClaim(handling().upgradable_read().await)
        } else {
            Self::Shared(handling().read().await)
        }
    }

    /// What was claimed may be handled beside other things.
    pub(super) fn share(self) -> Self {
        CLAIMS_ARE_SERIAL.set(false);
        match self {
            Self::OnlyClaim(guard) => Self::Shared(RwLockUpgradableReadGuard::downgrade(guard)),
            other => other,
        }
    }

    /// Wait until nothing else is handled: what was claimed may be poisonous.
    pub(super) fn isolate(self) -> LocalBoxFuture<'static, Self> {
        CLAIMS_ARE_SERIAL.set(true);
        match self {
            Self::OnlyClaim(guard) => RwLockUpgradableReadGuard::upgrade(guard)
                .map(Self::Exclusive)
                .boxed_local(),
            Self::Shared(guard) => {
                drop(guard);
                handling().write().map(Self::Exclusive).boxed_local()
            }
            exclusive @ Self::Exclusive(_) => futures::future::ready(exclusive).boxed_local(),
        }
    }
}

fn handling() -> &'static RwLock<()> {
    HANDLING.with(|handling| *handling)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn quarantine_waits_for_what_is_handled_and_keeps_others_from_claiming() {
        block_on(async {
            let first = Permit::acquire().await.share();
            let (second, third) = (Permit::acquire().await, Permit::acquire().await);
            let mut isolated = second.isolate();
            assert!(isolated.as_mut().now_or_never().is_none());
            drop(first);
            assert!(
                isolated.as_mut().now_or_never().is_none(),
                "the third handles"
            );
            drop(third);
            let exclusive = isolated.await;
            assert!(Permit::acquire().now_or_never().is_none());
            drop(exclusive);
            // One at a time, until one finds nothing poisonous.
            let only = Permit::acquire().await;
            assert!(Permit::acquire().now_or_never().is_none());
            let _shared = only.share();
            assert!(Permit::acquire().now_or_never().is_some());
        });
    }
}
