//! What a test puts before the statements of a host on its SQLite databases, to
//! bring two hosts together in an order of its choice.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;

type Wait = dyn Fn(&str) -> BoxFuture<'static, ()> + Send + Sync;

/// Clones share what they wait for.
#[derive(Clone, Default)]
pub struct Pace(Option<Arc<Wait>>);

impl Pace {
    /// Each statement waits for the future that it is given.
    pub fn new(wait: impl Fn(&str) -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(wait)))
    }

    pub(crate) async fn wait(&self, statement: &str) {
        if let Self(Some(wait)) = self {
            wait(statement).await;
        }
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pace")
    }
}
