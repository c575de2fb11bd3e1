//! Failures of the database, sorted by what a caller can do about them.

use spin_sdk::sqlite::Error;

/// Why a statement, or what it was part of, did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Retrying later may help.
    #[error("{0}")]
    Unavailable(String),
    /// Only a newer adapter can read what is there.
    #[error("the database has schema version {0}, which is newer than this adapter")]
    NewerSchema(u32),
    #[error("{0}")]
    Other(String),
}

/// What SQLite says when a retry may help. Hosts pass on nothing but the text.
const PASSING: [&str; 8] = [
    "database is locked",
    "database table is locked",
    "database schema is locked",
    "database or disk is full",
    "unable to open",
    "disk I/O error",
    "attempt to write a readonly",
    "interrupted",
];

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(text) if PASSING.iter().any(|passing| text.contains(passing)) => {
                Self::Unavailable(text)
            }
            Error::Io(text) => Self::Other(text),
            Error::DatabaseFull => Self::Unavailable("the database is full".into()),
            Error::InvalidConnection => Self::Unavailable("the connection was lost".into()),
            Error::NoSuchDatabase => Self::Other("the host has no database `default`".into()),
            Error::AccessDenied => {
                Self::Other("the manifest does not grant the database `default`".into())
            }
        }
    }
}

/// Converts a failure to the error of one interface. Their shapes agree, except
/// that `maintenance` tells a newer schema apart.
macro_rules! report_failures_as {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$crate::failure::Failure> for $error {
            fn from(failure: $crate::failure::Failure) -> Self {
                use $crate::failure::Failure;
                match failure {
                    Failure::Unavailable(text) => Self::Unavailable(text),
                    newer @ Failure::NewerSchema(_) => Self::Unavailable(newer.to_string()),
                    Failure::Other(text) => Self::Other(text),
                }
            }
        }
    )+};
}
pub(crate) use report_failures_as;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_or_full_database_is_worth_another_try() {
        for text in [
            "database is locked",
            "Error code 13: database or disk is full",
        ] {
            let failure = Failure::from(Error::Io(text.into()));
            assert_eq!(failure, Failure::Unavailable(text.into()));
        }
    }

    #[test]
    fn a_damaged_database_is_not() {
        let text = "database disk image is malformed";
        assert_eq!(
            Failure::from(Error::Io(text.into())),
            Failure::Other(text.into())
        );
    }
}
