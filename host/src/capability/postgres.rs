//! `spin:postgres`: databases of Postgres servers.
#![expect(
    clippy::result_large_err,
    reason = "the error is that of the interface"
)]

mod address;
mod calendar;
mod codec;
mod decimal;
mod link;
mod parameter;
mod pool;
mod security;
mod session;
mod shared;
mod statement;
mod value;

use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

pub(crate) use self::address::outbound_urls;
pub(super) use self::pool::Pool;
use self::{
    address::{Certificate, Key},
    codec::CodecError,
    parameter::Parameter,
    session::Session,
    shared::SharedSession,
};
use super::{Capability, CapabilityCtx, OPEN_LIMIT, rows::Rows};
use crate::bindings::spin::postgres::postgres::{
    Column, Error, Host, HostConnection, HostConnectionBuilder, HostConnectionBuilderWithStore,
    HostConnectionWithStore, ParameterValue, Row, RowSet,
};

/// What spans call it.
const SYSTEM: &str = "postgresql";

/// A component's connection to a database. Calls on it wait for each other.
#[derive(Clone)]
#[expect(unreachable_pub, reason = "the generated bindings export it again")]
pub struct Connection(SharedSession);

/// What a connection is to be like.
#[expect(unreachable_pub, reason = "the generated bindings export it again")]
pub struct ConnectionBuilder {
    address: String,
    certificate: Option<Certificate>,
}

impl CapabilityCtx<'_> {
    /// A connection, which connects when it is first used.
    fn open_postgres(
        &mut self,
        address: String,
        certificate: Option<Certificate>,
    ) -> Result<Resource<Connection>, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::ConnectionFailed(error.to_string());
        let grants = &self.state.grants;
        let allowed = &grants.allowed_outbound_hosts;
        let urls = outbound_urls(&address).map_err(|error| failed(&error))?;
        if let Some(url) = urls.iter().find(|url| !allowed.allows(url)) {
            grants.refuse("connect to", &url.to_string(), "allowed_outbound_hosts");
            return Err(failed(&format_args!("address {url} is not permitted")));
        }
        if self.state.open.postgres == OPEN_LIMIT {
            return Err(failed(&"too many connections"));
        }
        let key = Key {
            address,
            certificate,
            is_named: urls.iter().all(|url| self.state.shared.means(grants, url)),
        };
        let pool = self.state.postgres_pool();
        let address = pool.address(key).map_err(|error| failed(&error))?;
        let connection = Connection(SharedSession::new(pool.clone(), address));
        let connection = self.table.push(connection);
        let connection = connection.map_err(|_| failed(&"too many connections"))?;
        self.state.open.postgres += 1;
        Ok(connection)
    }

    fn build_postgres(
        &mut self,
        builder: &Resource<ConnectionBuilder>,
    ) -> Result<Resource<Connection>, Error> {
        let builder = self.table.get(builder).map_err(|_| no_builder())?;
        let (address, certificate) = (builder.address.clone(), builder.certificate.clone());
        self.open_postgres(address, certificate)
    }

    fn postgres(&self, connection: &Resource<Connection>) -> Result<SharedSession, Error> {
        let found = self.table.get(connection);
        let missing = |_| Error::ConnectionFailed("no connection found".into());
        found
            .map(|Connection(session)| session.clone())
            .map_err(missing)
    }
}

fn no_builder() -> Error {
    Error::ConnectionFailed("no builder found".into())
}

fn parse(parameters: Vec<ParameterValue>) -> Result<Vec<Parameter>, CodecError> {
    parameters.into_iter().map(Parameter::parse).collect()
}

// Spin calls them differently when they are not well-formed.

fn parse_for_query(parameters: Vec<ParameterValue>) -> Result<Vec<Parameter>, Error> {
    parse(parameters).map_err(|error| Error::BadParameter(error.to_string()))
}

fn parse_for_execute(parameters: Vec<ParameterValue>) -> Result<Vec<Parameter>, Error> {
    parse(parameters).map_err(|error| Error::ValueConversionFailed(error.to_string()))
}

impl Host for CapabilityCtx<'_> {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<Error> {
        Ok(error)
    }
}

impl HostConnectionBuilder for CapabilityCtx<'_> {
    async fn new(&mut self, address: String) -> wasmtime::Result<Resource<ConnectionBuilder>> {
        let builder = ConnectionBuilder {
            address,
            certificate: None,
        };
        Ok(self.table.push(builder)?)
    }

    async fn set_ca_root(
        &mut self,
        builder: Resource<ConnectionBuilder>,
        certificate: String,
    ) -> Result<(), Error> {
        let certificate =
            Certificate::parse(&certificate).map_err(|error| Error::Other(error.to_string()))?;
        let builder = self.table.get_mut(&builder).map_err(|_| no_builder())?;
        builder.certificate = Some(certificate);
        Ok(())
    }

    async fn build(
        &mut self,
        builder: Resource<ConnectionBuilder>,
    ) -> Result<Resource<Connection>, Error> {
        self.build_postgres(&builder)
    }

    async fn drop(&mut self, builder: Resource<ConnectionBuilder>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl<T: Send> HostConnectionBuilderWithStore<T> for Capability {
    async fn build_async(
        accessor: &Accessor<T, Self>,
        builder: Resource<ConnectionBuilder>,
    ) -> Result<Resource<Connection>, Error> {
        accessor.with(|mut access| access.get().build_postgres(&builder))
    }
}

impl HostConnection for CapabilityCtx<'_> {
    async fn open(&mut self, address: String) -> Result<Resource<Connection>, Error> {
        self.open_postgres(address, None)
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<RowSet, Error> {
        let parameters = parse_for_query(parameters)?;
        let session = self.postgres(&connection)?;
        let mut session = session.halt().await;
        let span = self.begin_statement(SYSTEM, &statement);
        let reply = session.query(&statement, &parameters).await;
        self.end_statement(span, &reply);
        let reply = reply?;
        Ok(RowSet {
            columns: reply.columns,
            rows: reply.first,
        })
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<u64, Error> {
        let parameters = parse_for_execute(parameters)?;
        let session = self.postgres(&connection)?;
        let mut session = session.halt().await;
        let span = self.begin_statement(SYSTEM, &statement);
        let executed = session.execute(&statement, &parameters).await;
        self.end_statement(span, &executed);
        executed
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        self.state.open.postgres -= 1;
        Ok(())
    }
}

type AsyncReply = (
    Vec<Column>,
    StreamReader<Row>,
    FutureReader<Result<(), Error>>,
);

impl<T: Send> HostConnectionWithStore<T> for Capability {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> Result<Resource<Connection>, Error> {
        accessor.with(|mut access| access.get().open_postgres(address, None))
    }

    async fn query_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<AsyncReply, Error> {
        let parameters = parse_for_query(parameters)?;
        let session = accessor.with(|mut access| access.get().postgres(&connection))?;
        let span = accessor.with(|mut access| access.get().begin_statement(SYSTEM, &statement));
        let replying = session
            .with(|session| async move { Session::stream(session, &statement, &parameters).await });
        let reply = replying.await;
        accessor.with(|mut access| access.get().end_statement(span, &reply));
        let reply = reply?;
        let (rest, outcome) = reply.rest.map(|rest| (rest.rows, rest.outcome)).unzip();
        let rows = Rows::new(reply.first, rest);
        let outcome = async {
            let gone = || Error::ConnectionFailed("the host is being stopped".into());
            wasmtime::error::Ok(match outcome {
                Some(outcome) => outcome.await.unwrap_or_else(|_| Err(gone())),
                None => Ok(()),
            })
        };
        accessor
            .with(|mut access| {
                let rows = StreamReader::new(&mut access, rows)?;
                let outcome = FutureReader::new(&mut access, outcome)?;
                Ok((reply.columns, rows, outcome))
            })
            .map_err(|error: wasmtime::Error| Error::Other(error.to_string()))
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<u64, Error> {
        let parameters = parse_for_execute(parameters)?;
        let session = accessor.with(|mut access| access.get().postgres(&connection))?;
        let span = accessor.with(|mut access| access.get().begin_statement(SYSTEM, &statement));
        let executing = session
            .with(|mut session| async move { session.execute(&statement, &parameters).await });
        let executed = executing.await;
        accessor.with(|mut access| access.get().end_statement(span, &executed));
        executed
    }
}
