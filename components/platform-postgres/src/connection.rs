//! The connection of this instance, and statements on it.
//!
//! Every statement is a transaction of its own: what has to happen together is
//! one stored function. So a guest that dies between two calls leaves nothing
//! half done, and no connection in a transaction.

use std::{cell::RefCell, rc::Rc};

use emporium_adapter::Failure;
use spin_sdk::{
    pg::wit::postgres::{self, Error, ParameterValue, QueryError},
    variables,
};

use crate::{row::Row, schema};

/// The variable with the address of the database.
const ADDRESS: &str = "postgres_url";

/// How often a statement is tried that lost to another one.
const ATTEMPTS: usize = 10;

/// What `commit` raises, and two of Postgres: a serialisation failure and a
/// deadlock. All mean that nothing happened, and that a retry will see more.
const LOST: [&str; 3] = ["EM001", "40001", "40P01"];

/// No such schema, function, or table: the database is empty, or has been
/// migrated by another version.
const UNDEFINED: [&str; 3] = ["3F000", "42883", "42P01"];

/// Classes and codes of conditions that pass: lost connections, a full disk, too
/// many connections, a server that stops or starts or admits nobody, a statement
/// that took too long, a standby, I/O errors.
const PASSING: [&str; 9] = [
    "08", "53", "55000", "55P03", "57014", "57P", "25006", "58", "40",
];

thread_local! {
    static CONNECTION: RefCell<Option<Rc<postgres::Connection>>> = const { RefCell::new(None) };
}

/// Run a statement for its rows.
pub(crate) async fn rows(
    statement: &'static str,
    parameters: Vec<ParameterValue>,
) -> Result<impl Iterator<Item = Row>, Failure> {
    let mut migrated = false;
    let mut attempt = 1;
    loop {
        match run(statement, &parameters).await {
            Ok(rows) => return Ok(rows.rows.into_iter().map(Row::from)),
            Err(Refused::Undefined(_)) if !migrated => {
                schema::migrate().await?;
                migrated = true;
            }
            Err(Refused::Lost(_)) if attempt < ATTEMPTS => attempt += 1,
            Err(refused) => return Err(refused.into()),
        }
    }
}

/// Run a statement for the first of its rows.
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
    row(statement, parameters)
        .await?
        .ok_or_else(|| Failure::Other("a statement gave no row".into()))
}

/// Run a statement for its effect.
pub(crate) async fn execute(
    statement: &'static str,
    parameters: Vec<ParameterValue>,
) -> Result<(), Failure> {
    rows(statement, parameters).await.map(drop)
}

/// Why a statement has no result.
pub(crate) enum Refused {
    /// What it names is not there.
    Undefined(String),
    /// To another statement, and can be tried again.
    Lost(String),
    Failed(Failure),
}

/// Run a statement once.
pub(crate) async fn run(
    statement: &str,
    parameters: &[ParameterValue],
) -> Result<postgres::RowSet, Refused> {
    let connection = connection().await.map_err(Refused::Failed)?;
    query(&connection, statement, parameters)
}

/// Run a statement where nothing may wait, on the connection that there is.
pub(crate) fn execute_at_once(
    statement: &str,
    parameters: &[ParameterValue],
) -> Result<(), Failure> {
    let connection = CONNECTION
        .with_borrow(Clone::clone)
        .ok_or_else(|| Failure::Unavailable("postgres: the connection was lost".into()))?;
    query(&connection, statement, parameters)?;
    Ok(())
}

/// The call is synchronous: an instance has one connection, on which statements
/// run one after the other in any case.
fn query(
    connection: &postgres::Connection,
    statement: &str,
    parameters: &[ParameterValue],
) -> Result<postgres::RowSet, Refused> {
    connection.query(statement, parameters).map_err(|error| {
        if matches!(error, Error::ConnectionFailed(_)) {
            CONNECTION.set(None);
        }
        Refused::from(error)
    })
}

async fn connection() -> Result<Rc<postgres::Connection>, Failure> {
    if let Some(connection) = CONNECTION.with_borrow(Clone::clone) {
        return Ok(connection);
    }
    let address = variables::get(ADDRESS)
        .await
        .map_err(|error| Failure::Unavailable(format!("variable `{ADDRESS}`: {error}")))?;
    let connection = postgres::Connection::open(&address).map_err(Refused::from)?;
    let connection = Rc::new(connection);
    CONNECTION.set(Some(connection.clone()));
    Ok(connection)
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::ConnectionFailed(text) => {
                Self::Failed(Failure::Unavailable(format!("postgres: {text}")))
            }
            Error::QueryFailed(QueryError::DbError(error)) => {
                let text = format!("postgres: {} ({})", error.message, error.code);
                let code = error.code.as_str();
                if UNDEFINED.contains(&code) {
                    Self::Undefined(text)
                } else if LOST.contains(&code) {
                    Self::Lost(text)
                } else if PASSING.iter().any(|passing| code.starts_with(passing)) {
                    Self::Failed(Failure::Unavailable(text))
                } else {
                    Self::Failed(Failure::Other(text))
                }
            }
            // What a host cannot structure is, as a rule, the connection: it was
            // closed while the statement ran.
            Error::QueryFailed(QueryError::Text(text)) => {
                Self::Failed(Failure::Unavailable(format!("postgres: {text}")))
            }
            Error::BadParameter(text) | Error::ValueConversionFailed(text) | Error::Other(text) => {
                Self::Failed(Failure::Other(format!("postgres: {text}")))
            }
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Undefined(text) => Self::Other(text),
            Refused::Lost(text) => Self::Unavailable(text),
            Refused::Failed(failure) => failure,
        }
    }
}
