//! A component's connection to a database.
//!
//! It takes a connection of the pool for each statement, and keeps it from
//! `BEGIN` to the end of the transaction; likewise after anything that may show
//! to another user of the connection.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::sync::{OwnedMutexGuard, mpsc, oneshot};

use super::{
    address::Address,
    link::{self, Link, Reply},
    parameter::Parameter,
    pool::{Lease, NoConnection, Pool},
    value,
};
use crate::{
    bindings::spin::postgres::postgres::{Column, DbError, DbValue, Error, QueryError},
    capability::REPLY_LIMIT,
};

/// How many bytes of a reply are gathered before its rows are streamed.
const AT_ONCE: usize = 256 << 10;

/// How many rows are read ahead of the component that streams them.
const AHEAD: usize = 64;

pub(super) struct Session {
    pool: Pool,
    address: Arc<Address>,
    lease: Option<Lease>,
    /// Whether the lease outlasts its statement, for those that cannot look.
    pub(super) is_kept: Arc<AtomicBool>,
}

/// A reply whose rows were all gathered, or only the first.
pub(super) struct Rows {
    pub(super) columns: Vec<Column>,
    pub(super) first: Vec<Vec<DbValue>>,
    pub(super) rest: Option<Rest>,
}

/// The rows of a reply that are still to come.
pub(super) struct Rest {
    pub(super) rows: mpsc::Receiver<Vec<DbValue>>,
    pub(super) outcome: oneshot::Receiver<Result<(), Error>>,
}

impl Session {
    pub(super) fn new(pool: Pool, address: Arc<Address>) -> Self {
        Self {
            pool,
            address,
            lease: None,
            is_kept: Arc::default(),
        }
    }

    /// Executes a statement; returns how many rows it affected.
    pub(super) async fn execute(
        &mut self,
        sql: &str,
        parameters: &[Parameter],
    ) -> Result<u64, Error> {
        let result = self.count(sql, parameters).await;
        self.give_back();
        result
    }

    async fn count(&mut self, sql: &str, parameters: &[Parameter]) -> Result<u64, Error> {
        let link = self.link().await?;
        let mut reply = link.query(sql, parameters).await.map_err(from_postgres)?;
        let mut rows = 0;
        while link
            .next(&mut reply)
            .await
            .map_err(from_postgres)?
            .is_some()
        {
            rows += 1;
        }
        Ok(reply.rows.rows_affected().unwrap_or(rows))
    }

    /// Executes a statement and gathers its rows.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        parameters: &[Parameter],
    ) -> Result<Rows, Error> {
        let result = self.gather(sql, parameters).await;
        self.give_back();
        result
    }

    async fn gather(&mut self, sql: &str, parameters: &[Parameter]) -> Result<Rows, Error> {
        let link = self.link().await?;
        let mut reply = link.query(sql, parameters).await.map_err(from_postgres)?;
        let mut first = Vec::new();
        match gather(link, &mut reply, &mut first, REPLY_LIMIT).await? {
            Gathered::All => Ok(Rows {
                columns: columns(&reply),
                first,
                rest: None,
            }),
            Gathered::Some => Err(too_large()),
        }
    }

    /// Executes a statement; of a large reply, only the first rows are gathered.
    /// The session is busy until the others were read.
    pub(super) async fn stream(
        mut session: OwnedMutexGuard<Self>,
        sql: &str,
        parameters: &[Parameter],
    ) -> Result<Rows, Error> {
        let result = session.begin(sql, parameters).await;
        let (reply, first) = match result {
            Ok((Gathered::Some, reply, first)) => (reply, first),
            Ok((Gathered::All, reply, first)) => {
                session.give_back();
                return Ok(Rows {
                    columns: columns(&reply),
                    first,
                    rest: None,
                });
            }
            Err(error) => {
                session.give_back();
                return Err(error);
            }
        };
        let columns = columns(&reply);
        let (sender, rows) = mpsc::channel(AHEAD);
        let (end, outcome) = oneshot::channel();
        tokio::spawn(async move {
            let ended = session.send(reply, &sender).await;
            session.give_back();
            // Nobody may be interested any more.
            let _ = end.send(ended);
        });
        Ok(Rows {
            columns,
            first,
            rest: Some(Rest { rows, outcome }),
        })
    }

    async fn begin(
        &mut self,
        sql: &str,
        parameters: &[Parameter],
    ) -> Result<(Gathered, Reply, Vec<Vec<DbValue>>), Error> {
        let link = self.link().await?;
        let mut reply = link.query(sql, parameters).await.map_err(from_postgres)?;
        let mut first = Vec::new();
        let gathered = gather(link, &mut reply, &mut first, AT_ONCE).await?;
        Ok((gathered, reply, first))
    }

    /// Sends the rows of a reply until nobody takes them any more.
    async fn send(
        &mut self,
        mut reply: Reply,
        sender: &mpsc::Sender<Vec<DbValue>>,
    ) -> Result<(), Error> {
        // The very connection of the reply, which is busy with it.
        let link = self.lease.as_mut().and_then(Lease::link).ok_or_else(gone)?;
        loop {
            let next = tokio::select! {
                () = sender.closed() => return Ok(()),
                next = link.next(&mut reply) => next,
            };
            let Some(row) = next.map_err(from_postgres)? else {
                return Ok(());
            };
            if row.raw_size_bytes() > REPLY_LIMIT {
                return Err(too_large());
            }
            if sender.send(read(&row)?).await.is_err() {
                return Ok(());
            }
        }
    }

    /// The connection that is kept, or one of the pool.
    async fn link(&mut self) -> Result<&mut Link, Error> {
        if self.lease.as_mut().is_some_and(is_over) {
            self.lease = None;
        }
        let lease = match self.lease.take() {
            Some(lease) => lease,
            None => self.pool.take(&self.address).await.map_err(from_pool)?,
        };
        self.lease.insert(lease).link().ok_or_else(gone)
    }

    /// Ends the use of a connection that needs not be kept.
    fn give_back(&mut self) {
        if self
            .lease
            .as_mut()
            .is_some_and(|lease| lease.is_clean() || is_over(lease))
        {
            self.lease = None;
        }
        self.is_kept.store(self.lease.is_some(), Relaxed);
    }
}

fn gone() -> Error {
    Error::ConnectionFailed("the connection is gone".into())
}

/// Whether a connection is of no more use, and no transaction would be lost
/// unheard with it.
fn is_over(lease: &mut Lease) -> bool {
    lease.link().is_none_or(|link| {
        let is_broken = link.has_ended() || link.is_interrupted();
        is_broken && !link.has_begun()
    })
}

enum Gathered {
    All,
    /// There are further rows.
    Some,
}

/// Reads rows until they have `limit` bytes.
async fn gather(
    link: &mut Link,
    reply: &mut Reply,
    rows: &mut Vec<Vec<DbValue>>,
    limit: usize,
) -> Result<Gathered, Error> {
    let mut bytes = 0;
    while let Some(row) = link.next(reply).await.map_err(from_postgres)? {
        let values = row.len() * size_of::<DbValue>();
        bytes += row.raw_size_bytes() + values;
        if bytes > REPLY_LIMIT {
            return Err(too_large());
        }
        rows.push(read(&row)?);
        if bytes > limit {
            return Ok(Gathered::Some);
        }
    }
    Ok(Gathered::All)
}

fn columns(reply: &Reply) -> Vec<Column> {
    let columns = reply.statement.columns();
    columns.iter().map(value::column).collect()
}

fn read(row: &tokio_postgres::Row) -> Result<Vec<DbValue>, Error> {
    value::row(row).map_err(|text| Error::QueryFailed(QueryError::Text(text)))
}

fn too_large() -> Error {
    let text = format!("query result exceeds limit of {REPLY_LIMIT} bytes");
    Error::QueryFailed(QueryError::Text(text))
}

fn from_pool(error: NoConnection) -> Error {
    Error::ConnectionFailed(error.to_string())
}

fn from_postgres(error: tokio_postgres::Error) -> Error {
    let as_text = link::words(&error);
    let Some(refusal) = error.as_db_error() else {
        use std::error::Error as _;
        let is_io = error
            .source()
            .is_some_and(|source| source.is::<std::io::Error>());
        return match is_io || error.is_closed() {
            true => Error::ConnectionFailed(as_text),
            false => Error::QueryFailed(QueryError::Text(as_text)),
        };
    };
    let line = refusal.line().map(|line| line.to_string());
    let extras = [
        ("column", refusal.column()),
        ("constraint", refusal.constraint()),
        ("routine", refusal.routine()),
        ("hint", refusal.hint()),
        ("table", refusal.table()),
        ("datatype", refusal.datatype()),
        ("schema", refusal.schema()),
        ("file", refusal.file()),
        ("line", line.as_deref()),
        ("where_", refusal.where_()),
    ];
    let extras = extras
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    Error::QueryFailed(QueryError::DbError(DbError {
        severity: refusal.severity().to_owned(),
        code: refusal.code().code().to_owned(),
        message: refusal.message().to_owned(),
        detail: refusal.detail().map(str::to_owned),
        extras: extras.collect(),
        as_text,
    }))
}
