//! One execution of a statement, here or aside.

use std::time::Duration;

use rusqlite::ErrorCode;

use super::database::Link;
use super::reply::{Bound, Sink, read};
use super::statement::{Kind, Statement};
use crate::bindings::spin::sqlite::sqlite::Error;

/// How many instructions of SQLite's virtual machine a statement may keep the
/// thread of other requests for: some milliseconds.
pub(super) const SHORT: u32 = 400_000;

/// How long any statement may take.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// Where a statement is executed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the thread that serves requests.
    Here,
    /// On a thread that may block.
    Aside,
}

/// How it went.
pub(super) enum Ran {
    Done {
        writes: bool,
    },
    /// It is somebody else's turn to write.
    NotYet,
    /// It had no effect and must be executed aside.
    Left,
}

/// Why it failed.
pub(super) enum Failed {
    Sqlite(rusqlite::Error),
    Sink(Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Execute a statement once; one that takes the lock, only if it `may_begin`.
pub(super) fn run<S: Sink>(
    link: &Link,
    may_begin: impl FnOnce() -> bool,
    statement: &Statement,
    place: Place,
    commits_fast: bool,
    sink: &mut S,
) -> Result<Ran, Failed> {
    let Link { connection, guard } = link;
    guard.allow(LONG, u32::MAX);
    let (mut kept, mut fresh);
    let prepared: &mut rusqlite::Statement<'_> = if statement.kind.is_kept() {
        kept = connection.prepare_cached(&statement.sql)?;
        &mut kept
    } else {
        fresh = connection.prepare(&statement.sql)?;
        &mut fresh
    };
    let writes = !prepared.readonly() && statement.kind != Kind::Begin;
    let takes_lock = !prepared.readonly() && connection.is_autocommit();
    if takes_lock && !may_begin() {
        return Ok(Ran::NotYet);
    }
    let here = place == Place::Here;
    if here && writes && connection.is_autocommit() && !commits_fast {
        return Ok(Ran::Left);
    }
    // Interrupting a change would roll the whole transaction back.
    if here && !writes {
        guard.allow(LONG, SHORT);
    }
    sink.columns(prepared.column_names());
    let width = prepared.column_count();
    let parameters = rusqlite::params_from_iter(statement.parameters.iter().map(Bound));
    let mut rows = prepared.query(parameters)?;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(Ran::Done { writes }),
            Err(error) if is_interrupted(&error) && here && !writes => return Ok(Ran::Left),
            Err(error) => return Err(error.into()),
        };
        let row = read(row, width)?;
        if !sink.row(row).map_err(Failed::Sink)? {
            return Ok(Ran::Left);
        }
        if !here {
            guard.extend(LONG);
        }
    }
}

fn is_interrupted(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}
