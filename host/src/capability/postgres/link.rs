//! A connection to a database, the statements prepared on it, and the state it
//! is in.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt as _, Stream as _};
use tokio::net::TcpStream;
use tokio_postgres::{
    AsyncMessage, CancelToken, Client, Connection, Error, Row, RowStream, Statement,
    error::SqlState,
};

use super::{
    address::{Address, TlsStream, dial},
    parameter::Parameter,
    pool::Place,
    statement::Kind,
};
use crate::net::PermittedNetworks;

/// How many statements a connection keeps prepared.
const STATEMENTS_LIMIT: usize = 256;

/// How long asking the server to stop a statement may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// A statement under way.
pub(super) struct Reply {
    pub(super) statement: Statement,
    pub(super) rows: Pin<Box<RowStream>>,
    kind: Kind,
}

/// A connection. Nothing is read from it unless someone uses it.
pub(super) struct Link {
    client: Client,
    connection: Connection<TcpStream, TlsStream>,
    /// The connection has ended and must not be driven any more.
    ended: bool,
    statements: Statements,
    state: State,
    address: Arc<Address>,
    peer: SocketAddr,
    host: String,
    _place: Place,
}

/// What the next user of a connection would notice.
#[derive(Default)]
struct State {
    /// A statement was begun and its reply not read to the end.
    busy: bool,
    /// A transaction is open.
    begun: bool,
    /// Something else was left behind.
    marked: bool,
}

impl Link {
    pub(super) async fn connect(
        address: Arc<Address>,
        networks: &PermittedNetworks,
        place: Place,
    ) -> Result<Self, String> {
        let (stream, peer, host) = address.dial(networks).await?;
        let tls = address.tls(&host)?;
        let (client, connection) = address
            .config()
            .connect_raw(stream, tls)
            .await
            .map_err(|error| words(&error))?;
        Ok(Self {
            client,
            connection,
            ended: false,
            statements: Statements::default(),
            state: State::default(),
            address,
            peer,
            host,
            _place: place,
        })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it leaves nothing to notice for another user.
    pub(super) fn is_clean(&self) -> bool {
        let State {
            busy,
            begun,
            marked,
        } = self.state;
        !(self.ended || busy || begun || marked)
    }

    /// Whether the connection has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether a reply was not read to its end.
    pub(super) fn is_interrupted(&self) -> bool {
        self.state.busy
    }

    /// Whether a transaction would be lost with it.
    pub(super) fn has_begun(&self) -> bool {
        self.state.begun
    }

    /// Whether the server has not closed it, as far as can be known.
    pub(super) async fn is_alive(&mut self) -> bool {
        poll_fn(|context| {
            let _ = poll_connection(&mut self.connection, &mut self.ended, context);
            Poll::Ready(!self.ended)
        })
        .await
    }

    /// Begins a statement.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        parameters: &[Parameter],
    ) -> Result<Reply, Error> {
        let (kept, kind) = match self.statements.get(sql) {
            Some((statement, kind)) => (Some(statement), kind),
            None => (None, Kind::of(sql)),
        };
        self.state.busy = true;
        self.state.marked |= kind == Kind::Other;
        let begun = match kept {
            Some(statement) => match self.start(statement, kind, parameters).await {
                Err(error) if is_stale(&error) => {
                    self.statements.remove(sql);
                    match self.state.begun {
                        // The transaction failed with it.
                        true => Err(error),
                        false => self.prepare_and_start(sql, kind, parameters).await,
                    }
                }
                begun => begun,
            },
            None => self.prepare_and_start(sql, kind, parameters).await,
        };
        self.state.busy = begun.is_ok();
        // Of a transaction that went with its connection, the component hears
        // until it ends it.
        self.state.begun &= !(self.ended && kind == Kind::End);
        self.state.begun |= begun.is_ok() && kind == Kind::Begin;
        begun
    }

    /// The next row of a statement that was begun.
    pub(super) async fn next(&mut self, reply: &mut Reply) -> Result<Option<Row>, Error> {
        let next = poll_fn(|context| reply.rows.as_mut().poll_next(context));
        let row = self.drive(next.map(Option::transpose)).await;
        if !matches!(row, Ok(Some(_))) {
            self.state.busy = false;
        }
        if matches!(row, Ok(None)) && reply.kind == Kind::End {
            self.state.begun = false;
        }
        row
    }

    async fn prepare_and_start(
        &mut self,
        sql: &str,
        kind: Kind,
        parameters: &[Parameter],
    ) -> Result<Reply, Error> {
        let statement = self.prepare(sql).await?;
        if kind.is_kept() {
            self.statements.insert(sql, &statement, kind);
        } else {
            // What others were prepared for may change.
            self.statements = Statements::default();
        }
        self.start(statement, kind, parameters).await
    }

    async fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        let Self {
            client,
            connection,
            ended,
            ..
        } = self;
        drive(connection, ended, client.prepare(sql)).await
    }

    async fn start(
        &mut self,
        statement: Statement,
        kind: Kind,
        parameters: &[Parameter],
    ) -> Result<Reply, Error> {
        let Self {
            client,
            connection,
            ended,
            ..
        } = self;
        let started = client.query_raw(&statement, parameters);
        let rows = Box::pin(drive(connection, ended, started).await?);
        Ok(Reply {
            statement,
            rows,
            kind,
        })
    }

    async fn drive<T>(&mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        drive(&mut self.connection, &mut self.ended, work).await
    }

    /// Closes the connection, and stops what it still executes.
    pub(super) fn close(self) {
        if !self.state.busy || self.ended {
            return;
        }
        // Without a runtime, the server finds out when it answers.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (token, peer) = (self.client.cancel_token(), self.peer);
        let (address, host) = (Arc::clone(&self.address), self.host.clone());
        runtime.spawn(async move {
            let cancelling = cancel(token, peer, &address, &host);
            match tokio::time::timeout(CANCEL_TIMEOUT, cancelling).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!("stopping a statement at {peer}: {error}"),
                Err(_) => tracing::debug!("stopping a statement at {peer} takes too long"),
            }
        });
    }
}

async fn cancel(
    token: CancelToken,
    peer: SocketAddr,
    address: &Address,
    host: &str,
) -> Result<(), String> {
    let stream = dial(peer).await.map_err(|error| error.to_string())?;
    let tls = address.tls(host)?;
    let cancelled = token.cancel_query_raw(stream, tls).await;
    cancelled.map_err(|error| words(&error))
}

/// Does `work` on a connection, and reads and writes it meanwhile.
async fn drive<T>(
    connection: &mut Connection<TcpStream, TlsStream>,
    ended: &mut bool,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut work = pin!(work);
    poll_fn(|context| {
        // A request is written, its reply read, and then looked at: twice is
        // what most statements need.
        for _ in 0..2 {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            if let Poll::Ready(Some(end)) = poll_connection(connection, ended, context) {
                // Nothing else tells what still waits for a reply.
                return Poll::Ready(Err(end));
            }
        }
        Poll::Pending
    })
    .await
}

/// Reads and writes what can be now; ready when the connection ends.
fn poll_connection(
    connection: &mut Connection<TcpStream, TlsStream>,
    ended: &mut bool,
    context: &mut Context<'_>,
) -> Poll<Option<Error>> {
    while !*ended {
        match ready!(connection.poll_message(context)) {
            Some(Ok(AsyncMessage::Notice(notice))) => {
                tracing::debug!("Postgres: {}: {}", notice.severity(), notice.message());
            }
            Some(Ok(_)) => {}
            end => {
                *ended = true;
                return Poll::Ready(end.and_then(Result::err));
            }
        }
    }
    Poll::Pending
}

/// Whether the statement must be prepared again.
fn is_stale(error: &Error) -> bool {
    error.as_db_error().is_some_and(|error| {
        *error.code() == SqlState::INVALID_SQL_STATEMENT_NAME
            || *error.code() == SqlState::FEATURE_NOT_SUPPORTED
                && error.message().starts_with("cached plan")
    })
}

/// An error and its causes.
pub(super) fn words(error: &Error) -> String {
    use std::error::Error as _;
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Statements that were prepared, the least used of which goes first.
#[derive(Default)]
struct Statements {
    prepared: HashMap<String, Prepared>,
    uses: u64,
}

struct Prepared {
    statement: Statement,
    kind: Kind,
    used: u64,
}

impl Statements {
    fn get(&mut self, sql: &str) -> Option<(Statement, Kind)> {
        self.uses += 1;
        let prepared = self.prepared.get_mut(sql)?;
        prepared.used = self.uses;
        Some((prepared.statement.clone(), prepared.kind))
    }

    fn insert(&mut self, sql: &str, statement: &Statement, kind: Kind) {
        if self.prepared.len() == STATEMENTS_LIMIT {
            let oldest = self.prepared.iter().min_by_key(|(_, held)| held.used);
            if let Some(oldest) = oldest.map(|(sql, _)| sql.clone()) {
                self.prepared.remove(&oldest);
            }
        }
        let prepared = Prepared {
            statement: statement.clone(),
            kind,
            used: self.uses,
        };
        self.prepared.insert(sql.to_owned(), prepared);
    }

    fn remove(&mut self, sql: &str) {
        self.prepared.remove(sql);
    }
}
