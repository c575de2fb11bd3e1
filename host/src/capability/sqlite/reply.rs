//! The values that go into a statement and the rows that come out of it.

use std::mem::size_of;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use tokio::sync::{mpsc, oneshot};

use crate::bindings::spin::sqlite::sqlite::{Error, RowResult, Value};
use crate::capability::REPLY_LIMIT;

/// How much of a streamed reply is gathered before it begins to be streamed: most
/// are smaller, and then cost no thread.
const GATHER_LIMIT: usize = 1 << 20;

/// How many rows of a streamed reply wait for the component.
const ROWS_AHEAD: usize = 64;

/// What a statement returned.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<RowResult>,
}

/// A value of a component as a parameter, without a copy of it.
pub(super) struct Bound<'a>(pub(super) &'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Integer(value) => ValueRef::Integer(*value),
            Value::Real(value) => ValueRef::Real(*value),
            Value::Text(value) => ValueRef::Text(value.as_bytes()),
            Value::Blob(value) => ValueRef::Blob(value),
            Value::Null => ValueRef::Null,
        }))
    }
}

/// Copy a row out of SQLite.
pub(super) fn read(row: &rusqlite::Row<'_>, width: usize) -> rusqlite::Result<RowResult> {
    let mut values = Vec::with_capacity(width);
    for column in 0..width {
        values.push(match row.get_ref(column)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(value) => Value::Integer(value),
            ValueRef::Real(value) => Value::Real(value),
            ValueRef::Text(text) => Value::Text(
                std::str::from_utf8(text)
                    .map_err(rusqlite::Error::Utf8Error)?
                    .to_owned(),
            ),
            ValueRef::Blob(value) => Value::Blob(value.to_vec()),
        });
    }
    Ok(RowResult { values })
}

fn size(row: &RowResult) -> usize {
    let content = |value: &Value| match value {
        Value::Integer(_) | Value::Real(_) | Value::Null => 0,
        Value::Text(value) => value.len(),
        Value::Blob(value) => value.len(),
    };
    row.values
        .iter()
        .map(|value| size_of::<Value>() + content(value))
        .sum()
}

fn too_large() -> Error {
    Error::Io(format!("query result exceeds limit of {REPLY_LIMIT} bytes"))
}

/// Where the rows of a statement go.
pub(super) trait Sink {
    /// Begin a reply with these columns.
    fn columns(&mut self, names: Vec<&str>);

    /// Take a row; false if the statement must be executed aside.
    fn row(&mut self, row: RowResult) -> Result<bool, Error>;
}

/// Keeps all rows, up to the limit of a reply.
#[derive(Default)]
pub(super) struct Gathered {
    columns: Vec<String>,
    rows: Vec<RowResult>,
    bytes: usize,
}

impl Gathered {
    pub(super) fn into_reply(self) -> Reply {
        Reply {
            columns: self.columns,
            rows: self.rows,
        }
    }

    fn push(&mut self, row: RowResult) {
        self.bytes += size(&row);
        self.rows.push(row);
    }
}

impl Sink for Gathered {
    fn columns(&mut self, names: Vec<&str>) {
        self.columns = names.into_iter().map(str::to_owned).collect();
    }

    fn row(&mut self, row: RowResult) -> Result<bool, Error> {
        self.push(row);
        if self.bytes > REPLY_LIMIT {
            Err(too_large())
        } else {
            Ok(true)
        }
    }
}

/// Keeps the rows of a small reply and has a large one executed aside.
#[derive(Default)]
pub(super) struct Small(pub(super) Gathered);

impl Sink for Small {
    fn columns(&mut self, names: Vec<&str>) {
        self.0.columns(names);
    }

    fn row(&mut self, row: RowResult) -> Result<bool, Error> {
        self.0.push(row);
        Ok(self.0.bytes <= GATHER_LIMIT)
    }
}

/// The rest of a reply that is being streamed, and how it ends.
pub(super) struct Rest {
    pub(super) rows: mpsc::Receiver<RowResult>,
    pub(super) outcome: oneshot::Receiver<Result<(), Error>>,
}

/// Keeps the first rows, hands them over when there are many, and sends the rest
/// as the component takes them.
pub(super) struct Streamed {
    first: Gathered,
    start: Option<oneshot::Sender<(Reply, Rest)>>,
    rows: Option<mpsc::Sender<RowResult>>,
    outcome: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Streamed {
    /// A sink that hands over the beginning of a large reply through `start`.
    pub(super) fn new(start: oneshot::Sender<(Reply, Rest)>) -> Self {
        Self {
            first: Gathered::default(),
            start: Some(start),
            rows: None,
            outcome: None,
        }
    }

    /// Whether the beginning has been handed over.
    pub(super) fn has_started(&self) -> bool {
        self.rows.is_some()
    }

    /// End a stream that has started.
    pub(super) fn end(&mut self, outcome: Result<(), Error>) {
        self.rows = None;
        if let Some(sender) = self.outcome.take() {
            // The component need not look at the outcome.
            let _ = sender.send(outcome);
        }
    }

    pub(super) fn into_reply(self) -> Reply {
        self.first.into_reply()
    }
}

impl Sink for Streamed {
    fn columns(&mut self, names: Vec<&str>) {
        self.first.columns(names);
    }

    fn row(&mut self, row: RowResult) -> Result<bool, Error> {
        if size(&row) > REPLY_LIMIT {
            return Err(too_large());
        }
        let gone = || Error::Io("row send error".into());
        if let Some(rows) = &self.rows {
            return rows.blocking_send(row).map(|()| true).map_err(|_| gone());
        }
        self.first.push(row);
        if self.first.bytes <= GATHER_LIMIT {
            return Ok(true);
        }
        let (rows, received) = mpsc::channel(ROWS_AHEAD);
        let (ended, outcome) = oneshot::channel();
        self.rows = Some(rows);
        self.outcome = Some(ended);
        let first = std::mem::take(&mut self.first).into_reply();
        let start = self.start.take().ok_or_else(gone)?;
        start
            .send((
                first,
                Rest {
                    rows: received,
                    outcome,
                },
            ))
            .map_err(|_| gone())?;
        Ok(true)
    }
}
