//! The connection of this instance, and statements on it.
//!
//! Every statement is a transaction of its own: what has to happen together is
//! one stored function. So a guest that dies between two calls leaves nothing
//! half done, and no connection in a transaction.
//!
//! An instance has a connection only while one of its statements runs: hosts
//! lend connections of a pool, and idle instances must not keep them.

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
};

use emporium_adapter::Failure;
use spin_sdk::{
    pg::wit::postgres::{Connection, DbValue, Error, ParameterValue},
    variables,
};

use crate::{
    refused::{Refused, is_wrong_isolation},
    row::Row,
    schema,
};

/// The variable with the address of the database.
const ADDRESS: &str = "postgres_url";

/// What a session needs whose database or role has another default.
const READ_COMMITTED: &str = "SET default_transaction_isolation TO 'read committed'";

/// How often a statement is tried that lost to another one.
const ATTEMPTS: usize = 10;

thread_local! {
    static CONNECTION: RefCell<Weak<Connection>> = const { RefCell::new(Weak::new()) };
    static KNOWN_ADDRESS: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Run a statement for its rows.
pub(crate) async fn rows(
    statement: &'static str,
    parameters: Vec<ParameterValue>,
) -> Result<impl Iterator<Item = Row>, Failure> {
    let rows = tried(async |connection| gather(connection, statement, parameters.clone()).await);
    Ok(rows.await?.into_iter().map(Row::from))
}

/// Run a statement for the first of its rows, if it has any.
pub(crate) async fn row(
    statement: &'static str,
    parameters: Vec<ParameterValue>,
) -> Result<Option<Row>, Failure> {
    Ok(rows(statement, parameters).await?.next())
}

/// Run a statement that has one row.
pub(crate) async fn only_row(
    statement: &'static str,
    parameters: Vec<ParameterValue>,
) -> Result<Row, Failure> {
    only_row_of(statement, || parameters.clone()).await
}

/// As `only_row`, where making the parameters costs no more than a copy: hardly any
/// statement is tried twice.
pub(crate) async fn only_row_of(
    statement: &'static str,
    parameters: impl Fn() -> Vec<ParameterValue>,
) -> Result<Row, Failure> {
    let rows = tried(async |connection| gather(connection, statement, parameters()).await);
    let row = rows.await?.into_iter().next().map(Row::from);
    row.ok_or_else(|| Failure::Other("a statement gave no row".into()))
}

/// Run a statement for its effect.
pub(crate) async fn execute(
    statement: &'static str,
    parameters: Vec<ParameterValue>,
) -> Result<(), Failure> {
    let done = tried(async |connection| {
        let done = connection.execute_async(statement.to_owned(), parameters.clone());
        done.await
    });
    done.await.map(drop)
}

/// Run a statement for its effect where nothing may wait, at an address that was
/// used before.
///
/// The connection is its own: one that another task waits for would be waited for
/// in vain, as nothing else of this instance runs meanwhile.
pub(crate) fn execute_at_once(
    statement: &str,
    parameters: &[ParameterValue],
) -> Result<(), Failure> {
    let address = KNOWN_ADDRESS
        .with_borrow(Clone::clone)
        .ok_or_else(|| Failure::Unavailable("postgres: the connection was lost".into()))?;
    let connection = Connection::open(&address).map_err(Refused::from)?;
    let done = connection.execute(statement, parameters);
    done.map_err(Refused::from)?;
    Ok(())
}

/// Run a statement once, and wait for all of its rows.
///
/// Never `query`, the call that waits for everything at once: it halts the
/// instance meanwhile, with whatever else it handles, and Spin 4.1 never returns
/// from it if there is no row.
pub(crate) async fn gather(
    connection: &Connection,
    statement: &str,
    parameters: Vec<ParameterValue>,
) -> Result<Vec<Vec<DbValue>>, Error> {
    let reply = connection.query_async(statement.to_owned(), parameters);
    let (_, rows, outcome) = reply.await?;
    let rows = rows.collect().await;
    outcome.await.map(|()| rows)
}

/// Try a statement until it loses to no other one, in a database that is up to
/// date.
async fn tried<T>(statement: impl AsyncFn(&Connection) -> Result<T, Error>) -> Result<T, Failure> {
    let mut migrated = false;
    let mut attempt = 1;
    loop {
        match run(&statement).await {
            Ok(reply) => return Ok(reply),
            Err(Refused::Undefined(_)) if !migrated => {
                schema::migrate().await?;
                migrated = true;
            }
            Err(Refused::Lost(_)) if attempt < ATTEMPTS => attempt += 1,
            Err(refused) => return Err(refused.into()),
        }
    }
}

/// Run a statement once.
pub(crate) async fn run<T>(
    statement: impl AsyncFn(&Connection) -> Result<T, Error>,
) -> Result<T, Refused> {
    let address = address().await.map_err(Refused::Failed)?;
    let connection = connect(&address)?;
    let mut outcome = statement(&connection).await;
    if outcome.as_ref().is_err_and(is_wrong_isolation) {
        connection
            .execute_async(READ_COMMITTED.to_owned(), Vec::new())
            .await?;
        outcome = statement(&connection).await;
    }
    if matches!(outcome, Err(Error::ConnectionFailed(_))) {
        // Neither the connection nor where it led to is to be relied on.
        CONNECTION.set(Weak::new());
        KNOWN_ADDRESS.set(None);
    }
    Ok(outcome?)
}

async fn address() -> Result<String, Failure> {
    if let Some(address) = KNOWN_ADDRESS.with_borrow(Clone::clone) {
        return Ok(address);
    }
    let address = variables::get(ADDRESS)
        .await
        .map_err(|error| Failure::Unavailable(format!("variable `{ADDRESS}`: {error}")))?;
    KNOWN_ADDRESS.set(Some(address.clone()));
    Ok(address)
}

/// The connection of the statement that runs, or another one.
fn connect(address: &str) -> Result<Rc<Connection>, Refused> {
    if let Some(connection) = CONNECTION.with_borrow(Weak::upgrade) {
        return Ok(connection);
    }
    let connection = Rc::new(Connection::open(address)?);
    CONNECTION.set(Rc::downgrade(&connection));
    Ok(connection)
}
