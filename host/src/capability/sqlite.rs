//! `spin:sqlite`: databases in files next to the host.

mod database;
mod execution;
mod guard;
mod reply;
mod session;
mod statement;
mod stream;
#[cfg(test)]
mod tests;
mod turns;
mod wait;

use std::sync::Arc;

use tokio::sync::Mutex;
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

pub(super) use self::database::Databases;
use self::session::Session;
use super::{Capability, CapabilityCtx, OPEN_LIMIT, rows::Rows};
use crate::bindings::spin::sqlite::sqlite::{
    Error, Host, HostConnection, HostConnectionWithStore, QueryResult, RowResult, Value,
};

/// What spans call it.
const SYSTEM: &str = "sqlite";

/// A component's connection to a database.
///
/// Calls on it wait for each other: SQLite executes one statement of a connection
/// at a time.
#[derive(Clone)]
#[expect(unreachable_pub, reason = "the generated bindings export it again")]
pub struct Connection(Arc<Mutex<Session>>);

impl CapabilityCtx<'_> {
    fn open_database(&mut self, label: &str) -> Result<Resource<Connection>, Error> {
        let CapabilityCtx { state, table } = self;
        if !state.grants.sqlite_databases.contains(label) {
            state
                .grants
                .refuse("open the SQLite database", label, "sqlite_databases");
            return Err(Error::AccessDenied);
        }
        let too_many = || Error::Io("too many connections opened".into());
        if state.open.databases == OPEN_LIMIT {
            return Err(too_many());
        }
        let database = state.shared.shared.sqlite.get(label)?;
        let session = Session::open(database)?;
        let connection = Connection(Arc::new(Mutex::new(session)));
        let connection = table.push(connection).map_err(|_| too_many())?;
        state.open.databases += 1;
        Ok(connection)
    }

    fn connection(&self, connection: &Resource<Connection>) -> Result<Connection, Error> {
        self.table
            .get(connection)
            .cloned()
            .map_err(|_| Error::InvalidConnection)
    }
}

impl Host for CapabilityCtx<'_> {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<Error> {
        Ok(error)
    }
}

impl HostConnection for CapabilityCtx<'_> {
    async fn open(&mut self, label: String) -> Result<Resource<Connection>, Error> {
        self.open_database(&label)
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        sql: String,
        parameters: Vec<Value>,
    ) -> Result<QueryResult, Error> {
        let Connection(session) = self.connection(&connection)?;
        self.state.shared.shared.sqlite.pace.wait(&sql).await;
        let statement = self.begin_statement(SYSTEM, &sql);
        let reply = Session::execute(&session, sql, parameters).await;
        self.end_statement(statement, &reply);
        let reply = reply?;
        Ok(QueryResult {
            columns: reply.columns,
            rows: reply.rows,
        })
    }

    async fn last_insert_rowid(
        &mut self,
        connection: Resource<Connection>,
    ) -> wasmtime::Result<i64> {
        let Connection(session) = self.connection(&connection)?;
        Ok(Session::lock(&session).await.last_insert_rowid())
    }

    async fn changes(&mut self, connection: Resource<Connection>) -> wasmtime::Result<u64> {
        let Connection(session) = self.connection(&connection)?;
        Ok(Session::lock(&session).await.changes())
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        self.state.open.databases -= 1;
        Ok(())
    }
}

fn find<T>(
    accessor: &Accessor<T, Capability>,
    connection: &Resource<Connection>,
) -> Result<Arc<Mutex<Session>>, Error> {
    accessor
        .with(|mut access| access.get().connection(connection))
        .map(|Connection(session)| session)
}

type AsyncReply = (
    Vec<String>,
    StreamReader<RowResult>,
    FutureReader<Result<(), Error>>,
);

impl<T: Send> HostConnectionWithStore<T> for Capability {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> Result<Resource<Connection>, Error> {
        accessor.with(|mut access| access.get().open_database(&label))
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        sql: String,
        parameters: Vec<Value>,
    ) -> Result<AsyncReply, Error> {
        let session = find(accessor, &connection)?;
        let statement = accessor.with(|mut access| access.get().begin_statement(SYSTEM, &sql));
        let executed = stream::execute(&session, sql, parameters).await;
        accessor.with(|mut access| access.get().end_statement(statement, &executed));
        let (reply, rest) = executed?;
        let (rest, outcome) = rest.map(|rest| (rest.rows, rest.outcome)).unzip();
        let rows = Rows::new(reply.rows, rest);
        let outcome = async {
            let ended = match outcome {
                // The sender is dropped unused only if the host is being stopped.
                Some(outcome) => outcome.await.unwrap_or(Err(Error::InvalidConnection)),
                None => Ok(()),
            };
            wasmtime::error::Ok(ended)
        };
        accessor
            .with(|mut access| {
                let rows = StreamReader::new(&mut access, rows)?;
                Ok((
                    reply.columns,
                    rows,
                    FutureReader::new(&mut access, outcome)?,
                ))
            })
            .map_err(|error: wasmtime::Error| Error::Io(error.to_string()))
    }

    async fn last_insert_rowid_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
    ) -> wasmtime::Result<i64> {
        let session = find(accessor, &connection)?;
        Ok(Session::lock(&session).await.last_insert_rowid())
    }

    async fn changes_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
    ) -> wasmtime::Result<u64> {
        let session = find(accessor, &connection)?;
        Ok(Session::lock(&session).await.changes())
    }
}
