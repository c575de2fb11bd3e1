//! The key-value stores of an application: one table of one SQLite file.
//!
//! The table is laid out as Spin's is, so that a file can be taken along.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};

use crate::bindings::spin::key_value::key_value::Error;
use crate::capability::REPLY_LIMIT;

/// How many keys are read at a time: enough to make the statement cheap, too few
/// to hold up the other requests of the thread.
const PAGE: usize = 256;

/// The stores of an application, opened at the first use.
pub(in crate::capability) struct Stores {
    path: PathBuf,
    database: OnceLock<Arc<Database>>,
}

impl Stores {
    /// Stores in the file at `path`.
    pub(in crate::capability) fn new(path: PathBuf) -> Self {
        Self {
            path,
            database: OnceLock::new(),
        }
    }

    /// Open the store with this label; every label has one.
    pub(in crate::capability) fn open(&self, label: &str) -> Result<Store, Error> {
        let database = match self.database.get() {
            Some(database) => database,
            // Two racing threads may both open the file; one of them wins.
            None => {
                let opened = Database::open(&self.path).map_err(other)?;
                self.database.get_or_init(|| Arc::new(opened))
            }
        };
        Ok(Store {
            database: Arc::clone(database),
            label: label.into(),
        })
    }
}

/// Two connections to one file, so that a reader never waits for a commit.
struct Database {
    reader: Mutex<Connection>,
    writer: Mutex<Connection>,
}

impl Database {
    fn open(path: &PathBuf) -> rusqlite::Result<Self> {
        let writer = Connection::open(path)?;
        writer.busy_timeout(Duration::from_secs(5))?;
        writer.pragma_update(None, "journal_mode", "wal")?;
        writer.execute_batch(
            "CREATE TABLE IF NOT EXISTS spin_key_value (
                store TEXT NOT NULL,
                key TEXT NOT NULL,
                value BLOB NOT NULL,
                PRIMARY KEY (store, key)
            )",
        )?;
        let reader = Connection::open(path)?;
        // A reader of a write-ahead log waits only while another process
        // recovers the file.
        reader.busy_timeout(Duration::from_millis(250))?;
        Ok(Self {
            reader: Mutex::new(reader),
            writer: Mutex::new(writer),
        })
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open key-value store.
#[derive(Clone)]
pub(in crate::capability) struct Store {
    database: Arc<Database>,
    label: Arc<str>,
}

impl Store {
    /// The value under `key`. Read in place: a point look-up takes microseconds.
    pub(super) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        const SQL: &str = "SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2";
        let value = self
            .database
            .reader()
            .prepare_cached(SQL)
            .and_then(|mut select| {
                select
                    .query_row([&*self.label, key], |row| row.get::<_, Vec<u8>>(0))
                    .optional()
            })
            .map_err(other)?;
        match value {
            Some(value) if value.len() > REPLY_LIMIT => Err(too_large()),
            value => Ok(value),
        }
    }

    /// Whether there is a value under `key`.
    pub(super) fn exists(&self, key: &str) -> Result<bool, Error> {
        const SQL: &str = "SELECT 1 FROM spin_key_value WHERE store = ?1 AND key = ?2";
        let reader = self.database.reader();
        let mut select = reader.prepare_cached(SQL).map_err(other)?;
        select.exists([&*self.label, key]).map_err(other)
    }

    /// Put `value` under `key`.
    pub(super) async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        const SQL: &str = "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (store, key) DO UPDATE SET value = excluded.value";
        let label = Arc::clone(&self.label);
        self.write(move |writer| {
            writer
                .prepare_cached(SQL)?
                .execute(params![&*label, key, value])
        })
        .await
    }

    /// Remove `key` and its value, if there are any.
    pub(super) async fn delete(&self, key: String) -> Result<(), Error> {
        const SQL: &str = "DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2";
        let label = Arc::clone(&self.label);
        self.write(move |writer| writer.prepare_cached(SQL)?.execute([&*label, &key]))
            .await
    }

    /// Write on a thread that may block: a commit waits for the disk.
    async fn write(
        &self,
        statement: impl FnOnce(&Connection) -> rusqlite::Result<usize> + Send + 'static,
    ) -> Result<(), Error> {
        let database = Arc::clone(&self.database);
        let written = tokio::task::spawn_blocking(move || {
            let writer = database
                .writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            statement(&writer)
        });
        written.await.map_err(other)?.map(drop).map_err(other)
    }

    /// The keys after `last`, in order, at most a page of them.
    fn page(&self, last: Option<&str>) -> Result<Vec<String>, Error> {
        const SQL: &str = "SELECT key FROM spin_key_value
             WHERE store = ?1 AND (?2 IS NULL OR key > ?2) ORDER BY key LIMIT ?3";
        let reader = self.database.reader();
        let mut select = reader.prepare_cached(SQL).map_err(other)?;
        let keys = select
            .query_map(params![&*self.label, last, PAGE as i64], |row| row.get(0))
            .map_err(other)?;
        keys.collect::<Result<_, _>>().map_err(other)
    }

    /// Every key, and how reading them ended.
    pub(super) fn keys(
        self,
    ) -> (
        Keys,
        impl Future<Output = wasmtime::Result<Result<(), Error>>> + Send + 'static,
    ) {
        let (outcome, ended) = oneshot::channel();
        let keys = Keys {
            store: self,
            last: None,
            outcome: Some(outcome),
        };
        // Nobody to tell the outcome means that the reader left early.
        (keys, async { Ok(ended.await.unwrap_or(Ok(()))) })
    }
}

/// The keys of a store, a page at a time, as the component asks for them.
pub(super) struct Keys {
    store: Store,
    last: Option<String>,
    outcome: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Keys {
    fn end(&mut self, outcome: Result<(), Error>) -> StreamResult {
        if let Some(sender) = self.outcome.take() {
            // The component need not look at the outcome.
            let _ = sender.send(outcome);
        }
        StreamResult::Dropped
    }
}

impl<D> StreamProducer<D> for Keys {
    type Item = String;
    type Buffer = VecBuffer<String>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, String, Self::Buffer>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let page = match self.store.page(self.last.as_deref()) {
            Ok(page) => page,
            Err(error) => return Poll::Ready(Ok(self.end(Err(error)))),
        };
        let Some(last) = page.last() else {
            return Poll::Ready(Ok(self.end(Ok(()))));
        };
        self.last = Some(last.clone());
        destination.set_buffer(page.into());
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

fn other(error: impl std::fmt::Display) -> Error {
    tracing::warn!("key-value error: {error:#}");
    Error::Other(error.to_string())
}

fn too_large() -> Error {
    Error::Other(format!("query result exceeds limit of {REPLY_LIMIT} bytes"))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
