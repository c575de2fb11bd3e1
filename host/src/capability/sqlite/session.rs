//! A component's connection to a database.
//!
//! Most statements take microseconds, much less than handing them to another
//! thread, so they are executed where they are called. What may take longer is
//! left in time and executed aside, on a thread that may block.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::ErrorCode;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::database::{Database, Link, would_wait};
use super::execution::{Failed, LONG, Place, Ran, SHORT, run};
use super::reply::{Gathered, Reply, Sink};
use super::statement::{BusyTimeout, Kind, Statement};
use super::wait::Wait;
use crate::bindings::spin::sqlite::sqlite::{Error, RowResult, Value};

/// How an attempt to execute a statement went.
pub(super) enum Attempt {
    Done,
    /// Another connection has the lock. The error is what SQLite calls it.
    Locked(Error),
    /// It had no effect and must be executed aside.
    Left,
}

pub(super) struct Session {
    database: Arc<Database>,
    /// Present until the session is dropped.
    link: Option<Link>,
    busy_timeout: Duration,
    /// Whether a commit has nothing to wait for on the disk.
    commits_fast: bool,
    has_written: bool,
    has_inserted: bool,
    /// Whether it is for this session to write next.
    has_turn: bool,
}

impl Session {
    /// Connect to a database.
    pub(super) fn open(database: Arc<Database>) -> Result<Self, Error> {
        let link = database.take().map_err(|error| from_sqlite(&error))?;
        let mut session = Self {
            database,
            link: Some(link),
            // SQLite's own is none, but rusqlite and with it Spin set this one.
            busy_timeout: Duration::from_secs(5),
            commits_fast: false,
            has_written: false,
            has_inserted: false,
            has_turn: false,
        };
        session.look_at_durability();
        Ok(session)
    }

    /// The number of rows the latest change of this session changed.
    pub(super) fn changes(&self) -> u64 {
        // The connection remembers the changes of its previous user.
        self.link
            .as_ref()
            .filter(|_| self.has_written)
            .map_or(0, |link| link.connection.changes())
    }

    /// The row that this session inserted last, or 0.
    pub(super) fn last_insert_rowid(&self) -> i64 {
        let link = self.link.as_ref().filter(|_| self.has_inserted);
        link.map_or(0, |link| link.connection.last_insert_rowid())
    }

    /// Execute a statement and gather its rows.
    pub(super) async fn execute(
        this: &Arc<Mutex<Self>>,
        sql: String,
        parameters: Vec<Value>,
    ) -> Result<Reply, Error> {
        let mut session = Self::lock(this).await;
        if let Some(reply) = session.answer(&sql) {
            return Ok(reply);
        }
        let mut statement = Statement::new(sql, parameters);
        let mut wait = Wait::new(session.busy_timeout);
        loop {
            let mut sink = Gathered::default();
            session.heed(&wait);
            let mut attempt = session.attempt(&statement, Place::Here, &mut sink)?;
            if matches!(attempt, Attempt::Left) {
                sink = Gathered::default();
                (session, statement, sink, attempt) = aside(session, statement, sink).await?;
            }
            match attempt {
                Attempt::Done => return Ok(sink.into_reply()),
                Attempt::Locked(error) => wait.or(error, &session.database).await?,
                Attempt::Left => return Err(Error::Io("the statement was left twice".into())),
            }
        }
    }

    pub(super) async fn lock(this: &Arc<Mutex<Self>>) -> OwnedMutexGuard<Self> {
        match Arc::clone(this).try_lock_owned() {
            Ok(session) => session,
            Err(_) => Arc::clone(this).lock_owned().await,
        }
    }

    pub(super) fn wait(&self) -> Wait {
        Wait::new(self.busy_timeout)
    }

    /// Have the next attempt use the turn of who waits, if it has one.
    pub(super) fn heed(&mut self, wait: &Wait) {
        self.has_turn = wait.has_turn();
    }

    pub(super) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// Answer what is the host's to answer.
    pub(super) fn answer(&mut self, sql: &str) -> Option<Reply> {
        let pragma = BusyTimeout::parse(sql)?;
        if let BusyTimeout::Set(timeout) = pragma {
            self.busy_timeout = timeout;
        }
        let timeout = i64::try_from(self.busy_timeout.as_millis()).unwrap_or(i64::MAX);
        let row = RowResult {
            values: vec![Value::Integer(timeout)],
        };
        Some(Reply {
            columns: vec!["timeout".into()],
            rows: vec![row],
        })
    }

    /// Execute a statement once.
    pub(super) fn attempt<S: Sink>(
        &mut self,
        statement: &Statement,
        place: Place,
        sink: &mut S,
    ) -> Result<Attempt, Error> {
        let waits_for_disk = match statement.kind {
            Kind::Commit => !self.commits_fast,
            Kind::Other => true,
            Kind::Begin | Kind::Data | Kind::Insert | Kind::Pragma => false,
        };
        let here = place == Place::Here;
        if here && (waits_for_disk || self.database.is_slow(&statement.sql)) {
            return Ok(Attempt::Left);
        }
        would_wait();
        let Some(link) = &self.link else {
            return Err(Error::InvalidConnection);
        };
        let began = !link.connection.is_autocommit();
        let may_begin = || self.has_turn || !self.database.turns().is_others();
        let ran = run(link, may_begin, statement, place, self.commits_fast, sink);
        let ended = began && link.connection.is_autocommit();
        if here && link.guard.executed() >= SHORT {
            self.database.note_slow(&statement.sql);
        }
        let writes = match ran {
            Ok(Ran::Left) => return Ok(Attempt::Left),
            Ok(Ran::NotYet) => {
                let error = Error::Io("database is locked".into());
                return Ok(Attempt::Locked(error));
            }
            Ok(Ran::Done { writes }) => writes,
            Err(error) => return self.judge(error, ended),
        };
        if statement.kind == Kind::Pragma || statement.kind == Kind::Other {
            link.never_wait().map_err(|error| from_sqlite(&error))?;
            self.look_at_durability();
        }
        self.has_written |= writes;
        self.has_inserted |= writes && statement.kind == Kind::Insert;
        if ended || (writes && !began) {
            self.database.released.notify_one();
            self.database.checkpoint_if_due();
        }
        Ok(Attempt::Done)
    }

    fn judge(&self, error: Failed, ended: bool) -> Result<Attempt, Error> {
        if ended {
            self.database.released.notify_one();
        }
        match error {
            Failed::Sink(error) => Err(error),
            Failed::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy) if would_wait() => {
                    Ok(Attempt::Locked(from_sqlite(&error)))
                }
                _ => Err(from_sqlite(&error)),
            },
        }
    }

    /// Find out whether a commit waits for the disk: unless the component gave up
    /// on durability, only one to a write-ahead log that is synced later does not.
    fn look_at_durability(&mut self) {
        let Some(link) = &self.link else { return };
        let connection = &link.connection;
        let synchronous = connection.pragma_query_value(None, "synchronous", |row| row.get(0));
        self.commits_fast = match synchronous {
            Ok(0_i64) => true,
            Ok(1_i64) => connection
                .pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))
                .is_ok_and(|mode| mode == "wal"),
            Ok(_) | Err(_) => false,
        };
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            self.database.give_back(link);
        }
    }
}

async fn aside<S: Sink + Send + 'static>(
    mut session: OwnedMutexGuard<Session>,
    statement: Statement,
    mut sink: S,
) -> Result<(OwnedMutexGuard<Session>, Statement, S, Attempt), Error> {
    let executed = tokio::task::spawn_blocking(move || {
        let attempt = session.attempt(&statement, Place::Aside, &mut sink);
        attempt.map(|attempt| (session, statement, sink, attempt))
    });
    executed
        .await
        .map_err(|error| Error::Io(error.to_string()))?
}

pub(super) fn from_sqlite(error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::DatabaseFull,
        Some(ErrorCode::OperationInterrupted) => Error::Io(format!(
            "interrupted: a statement may take {} s",
            LONG.as_secs()
        )),
        _ => Error::Io(error.to_string()),
    }
}
