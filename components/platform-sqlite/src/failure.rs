//! Errors of `spin:sqlite`, sorted by what a caller can do about them.

use emporium_adapter::Failure;
use spin_sdk::sqlite::Error;

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

pub(crate) fn failure(error: Error) -> Failure {
    match error {
        Error::Io(text) if PASSING.iter().any(|passing| text.contains(passing)) => {
            Failure::Unavailable(text)
        }
        Error::Io(text) => Failure::Other(text),
        Error::DatabaseFull => Failure::Unavailable("the database is full".into()),
        Error::InvalidConnection => Failure::Unavailable("the connection was lost".into()),
        Error::NoSuchDatabase => Failure::Other("the host has no database `default`".into()),
        Error::AccessDenied => {
            Failure::Other("the manifest does not grant the database `default`".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_or_full_database_is_worth_another_try() {
        for text in [
            "database is locked",
            "Error code 13: database or disk is full",
        ] {
            let failure = failure(Error::Io(text.into()));
            assert_eq!(failure, Failure::Unavailable(text.into()));
        }
    }

    #[test]
    fn a_damaged_database_is_not() {
        let text = "database disk image is malformed";
        assert_eq!(failure(Error::Io(text.into())), Failure::Other(text.into()));
    }
}
