//! A session that several calls of a component want at the same time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{address::Address, pool::Pool, session::Session};
use crate::bindings::spin::postgres::postgres::Error;

/// A session, which one call has at a time.
#[derive(Clone)]
pub(super) struct SharedSession {
    session: Arc<Mutex<Session>>,
    pool: Pool,
    address: Arc<Address>,
    is_kept: Arc<AtomicBool>,
}

impl SharedSession {
    pub(super) fn new(pool: Pool, address: Arc<Address>) -> Self {
        let session = Session::new(pool.clone(), address.clone());
        let is_kept = Arc::clone(&session.is_kept);
        Self {
            session: Arc::new(Mutex::new(session)),
            pool,
            address,
            is_kept,
        }
    }

    /// Does `work` with the session once no other call has it.
    ///
    /// In a transaction, `work` goes on even while the component is halted: a
    /// call that halts it may have to wait for this one.
    pub(super) async fn with<T, W>(
        &self,
        work: impl FnOnce(OwnedMutexGuard<Session>) -> W,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let session = Arc::clone(&self.session);
        let session = match session.try_lock_owned() {
            Ok(session) => session,
            Err(_) => Arc::clone(&self.session).lock_owned().await,
        };
        let work = work(session);
        if !self.is_kept.load(Relaxed) {
            return work.await;
        }
        let stopped = |_| Error::ConnectionFailed("the host is being stopped".into());
        tokio::spawn(work).await.map_err(stopped)?
    }

    /// The session, for a call that halts its component. Another call that has it
    /// is halted too, so that to wait for it would be to wait forever: then this
    /// is a session of its own, unless there is a transaction.
    pub(super) async fn halt(&self) -> OwnedMutexGuard<Session> {
        match Arc::clone(&self.session).try_lock_owned() {
            Err(_) if !self.is_kept.load(Relaxed) => {
                let another = Self::new(self.pool.clone(), self.address.clone());
                another.session.lock_owned().await
            }
            Err(_) => Arc::clone(&self.session).lock_owned().await,
            Ok(session) => session,
        }
    }
}
