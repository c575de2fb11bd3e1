//! The databases of an application, one file each, and the connections kept open
//! to them.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicBool,
    Ordering::{AcqRel, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Notify;

use super::guard::Guard;
use super::turns::Turns;
use crate::Pace;
use crate::bindings::spin::sqlite::sqlite::Error;
use crate::runtime_config::SqliteDatabase;

/// How many unused connections to a database are kept: more than one for each
/// instance that is busy at a time buys nothing.
const IDLE_LIMIT: usize = 32;

/// How many compiled statements a connection keeps; an application has some
/// dozens of them.
const KEPT_STATEMENTS: usize = 256;

/// After how many pages a write-ahead log is copied into its database; the figure
/// is SQLite's.
const CHECKPOINT_PAGES: i32 = 1000;

/// How long a log may grow before writers have to wait for its end to be copied:
/// under steady writing it would not begin again otherwise.
const LOG_PAGES_LIMIT: i32 = 8 * CHECKPOINT_PAGES;

/// How many statements of a database are remembered to be slow.
const SLOW_LIMIT: usize = 256;

thread_local! {
    /// Whether SQLite found a database locked and would have waited for it.
    static WOULD_WAIT: Cell<bool> = const { Cell::new(false) };
    /// How long the write-ahead log was after the latest commit, in pages.
    static LOG_PAGES: Cell<i32> = const { Cell::new(0) };
}

/// The databases of an application by label.
pub(in crate::capability) struct Databases {
    folder: PathBuf,
    pub(super) pace: Pace,
    databases: Mutex<HashMap<String, Arc<Database>>>,
}

impl Databases {
    /// Databases in files in `folder`, except for those that say where they are.
    pub(in crate::capability) fn new(
        folder: PathBuf,
        elsewhere: &BTreeMap<String, SqliteDatabase>,
        pace: Pace,
    ) -> Self {
        let placed = elsewhere.iter().filter_map(|(label, database)| {
            let SqliteDatabase::Spin { path } = database;
            let database = Database::new(path.clone()?);
            Some((label.clone(), Arc::new(database)))
        });
        Self {
            folder,
            pace,
            databases: Mutex::new(placed.collect()),
        }
    }

    /// The database with this label, which must do as part of a file name.
    pub(super) fn get(&self, label: &str) -> Result<Arc<Database>, Error> {
        let mut databases = lock(&self.databases);
        if let Some(database) = databases.get(label) {
            return Ok(Arc::clone(database));
        }
        let permitted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if label.is_empty() || !label.chars().all(permitted) {
            return Err(Error::NoSuchDatabase);
        }
        let database = Arc::new(Database::new(
            self.folder.join(format!("sqlite-{label}.db")),
        ));
        databases.insert(label.to_owned(), Arc::clone(&database));
        Ok(database)
    }
}

/// A database and the connections to it that are not in use.
pub(super) struct Database {
    path: PathBuf,
    idle: Mutex<Vec<Link>>,
    /// Told when a transaction that may have held the write lock has ended.
    pub(super) released: Notify,
    turns: OnceLock<Arc<Turns>>,
    checkpointing: AtomicBool,
    /// Statements that took long when they were last executed in place.
    slow: RwLock<HashSet<String>>,
}

/// A connection and what guards it.
pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) guard: Arc<Guard>,
}

impl Database {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            idle: Mutex::default(),
            released: Notify::new(),
            turns: OnceLock::new(),
            checkpointing: AtomicBool::new(false),
            slow: RwLock::default(),
        }
    }

    /// How large the file is without its log.
    #[cfg(test)]
    pub(super) fn size(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    /// How large its log is.
    #[cfg(test)]
    pub(super) fn log_size(&self) -> u64 {
        std::fs::metadata(self.path.with_extension("db-wal")).map_or(0, |file| file.len())
    }

    /// Who of those that share it is to write next.
    pub(super) fn turns(&self) -> &Arc<Turns> {
        let turns = || Arc::new(Turns::new(&self.path));
        self.turns.get_or_init(turns)
    }

    /// Take a connection that is as good as new.
    pub(super) fn take(&self) -> rusqlite::Result<Link> {
        let idle = lock(&self.idle).pop();
        idle.map_or_else(|| Link::open(&self.path), Ok)
    }

    /// Give a connection back; one that cannot be made as good as new is closed.
    pub(super) fn give_back(&self, link: Link) {
        if !link.connection.is_autocommit() {
            if link.connection.execute_batch("ROLLBACK").is_err() {
                return;
            }
            self.released.notify_one();
        }
        if !link.guard.restore(&link.connection) {
            return;
        }
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_LIMIT {
            idle.push(link);
        }
    }

    /// Whether a statement is known not to be short.
    pub(super) fn is_slow(&self, sql: &str) -> bool {
        let slow = self.slow.read().unwrap_or_else(PoisonError::into_inner);
        !slow.is_empty() && slow.contains(sql)
    }

    /// Remember that a statement is not short.
    pub(super) fn note_slow(&self, sql: &str) {
        let mut slow = self.slow.write().unwrap_or_else(PoisonError::into_inner);
        if slow.len() < SLOW_LIMIT {
            slow.insert(sql.to_owned());
        }
    }

    /// Copy a log that has grown long into the database, on a thread of its own:
    /// SQLite would do so in the commit that finds it long, holding up whatever
    /// its thread serves.
    pub(super) fn checkpoint_if_due(self: &Arc<Self>) {
        let pages = LOG_PAGES.replace(0);
        if pages < CHECKPOINT_PAGES || self.checkpointing.swap(true, AcqRel) {
            return;
        }
        let database = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = database.checkpoint(pages) {
                tracing::warn!("checkpoint of {}: {error}", database.path.display());
            }
            database.checkpointing.store(false, Release);
            database.released.notify_one();
        });
    }

    fn checkpoint(&self, pages: i32) -> rusqlite::Result<()> {
        // Copying begins with the write lock, which it would never find free among
        // those who hand it to each other.
        let (mode, _hold) = if pages < LOG_PAGES_LIMIT {
            ("PASSIVE", None)
        } else {
            ("RESTART", Some(self.turns().hold()))
        };
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(Duration::from_secs(1))?;
        connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
    }
}

impl Link {
    fn open(path: &Path) -> rusqlite::Result<Self> {
        // Without `SQLITE_OPEN_URI`: the path is a path.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
        let guard = Guard::install(&connection)?;
        connection.wal_hook(Some(|_: &Wal, pages| {
            LOG_PAGES.set(pages);
            Ok(())
        }));
        let link = Self { connection, guard };
        link.never_wait()?;
        Ok(link)
    }

    /// Have SQLite fail rather than wait for a lock: `Session` waits in its place,
    /// without keeping the thread.
    pub(super) fn never_wait(&self) -> rusqlite::Result<()> {
        self.connection.busy_handler(Some(|_| {
            WOULD_WAIT.set(true);
            false
        }))
    }
}

/// Whether SQLite would have waited for a lock since the last call.
///
/// It would not where waiting is in vain, as for a transaction that began with
/// reading what has been changed since.
pub(super) fn would_wait() -> bool {
    WOULD_WAIT.replace(false)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
