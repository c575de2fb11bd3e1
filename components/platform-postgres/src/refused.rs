//! Why statements fail, and what that means for whoever ran them.

use emporium_adapter::Failure;
use spin_sdk::pg::wit::postgres::{Error, QueryError};

/// What `commit` raises, and two of Postgres: a serialisation failure and a
/// deadlock. All mean that nothing happened, and that a retry will see more.
const LOST: [&str; 3] = ["EM001", "40001", "40P01"];

/// What functions raise in a transaction of another isolation level than theirs.
const WRONG_ISOLATION: &str = "EM003";

/// No such schema, function, or table: the database is empty, or has been
/// migrated by another version.
const UNDEFINED: [&str; 3] = ["3F000", "42883", "42P01"];

/// Classes and codes of conditions that pass: lost connections, a full disk, too
/// many connections, a server that stops or starts or admits nobody, a statement
/// that took too long, a standby, I/O errors.
const PASSING: [&str; 9] = [
    "08", "53", "55000", "55P03", "57014", "57P", "25006", "58", "40",
];

/// Why a statement has no result.
pub(crate) enum Refused {
    /// What it names is not there.
    Undefined(String),
    /// To another statement, and can be tried again.
    Lost(String),
    Failed(Failure),
}

/// Whether a statement failed at the isolation level of its session.
pub(crate) fn is_wrong_isolation(error: &Error) -> bool {
    matches!(error, Error::QueryFailed(QueryError::DbError(error)) if error.code == WRONG_ISOLATION)
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
