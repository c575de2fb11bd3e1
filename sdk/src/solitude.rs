//! Being alone with a suspect: an instance that is killed takes everything along
//! that it handles, of any subscription.

use std::sync::atomic::{AtomicBool, Ordering};

use async_lock::{RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard};
use futures::future::{FutureExt as _, LocalBoxFuture};

/// Held by whoever claims or handles something.
static HANDLING: RwLock<()> = RwLock::new(());

/// Whether one at a time claims, so that there is never more than one suspect to be
/// alone with. Suspects are handed out first: after a claim that found none, until
/// one does again, claims need not wait for each other.
static IS_CAREFUL: AtomicBool = AtomicBool::new(true);

/// A place among those who handle something.
pub(crate) enum Place {
    Shared(RwLockReadGuard<'static, ()>),
    /// Nobody else claims.
    Careful(RwLockUpgradableReadGuard<'static, ()>),
}

/// Nobody else claims or handles anything.
pub(crate) type Alone = RwLockWriteGuard<'static, ()>;

impl Place {
    /// Wait until something may be claimed.
    pub(crate) async fn take() -> Self {
        if IS_CAREFUL.load(Ordering::Relaxed) {
            Self::Careful(HANDLING.upgradable_read().await)
        } else {
            Self::Shared(HANDLING.read().await)
        }
    }

    /// Others may claim: what was claimed is no suspect.
    pub(crate) fn share(self) -> Self {
        IS_CAREFUL.store(false, Ordering::Relaxed);
        match self {
            Self::Careful(place) => Self::Shared(RwLockUpgradableReadGuard::downgrade(place)),
            shared @ Self::Shared(_) => shared,
        }
    }

    /// Wait until what others handle is done: what was claimed is a suspect.
    pub(crate) fn be_alone(self) -> LocalBoxFuture<'static, Alone> {
        IS_CAREFUL.store(true, Ordering::Relaxed);
        match self {
            Self::Careful(place) => RwLockUpgradableReadGuard::upgrade(place).boxed_local(),
            Self::Shared(place) => {
                drop(place);
                HANDLING.write().boxed_local()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn a_suspect_waits_for_what_is_handled_and_keeps_others_from_claiming() {
        block_on(async {
            let first = Place::take().await.share();
            let (second, third) = (Place::take().await, Place::take().await);
            let mut alone = second.be_alone();
            assert!(alone.as_mut().now_or_never().is_none());
            drop(first);
            assert!(alone.as_mut().now_or_never().is_none(), "the third handles");
            drop(third);
            let alone = alone.await;
            assert!(Place::take().now_or_never().is_none());
            drop(alone);
            // One at a time, until one finds no suspect.
            let careful = Place::take().await;
            assert!(Place::take().now_or_never().is_none());
            let _shared = careful.share();
            assert!(Place::take().now_or_never().is_some());
        });
    }
}
