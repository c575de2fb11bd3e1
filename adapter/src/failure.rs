//! Failures of a database, sorted by what a caller can do about them.

/// Why a statement, or what it was part of, did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Retrying later may help.
    #[error("{0}")]
    Unavailable(String),
    /// Only a newer adapter can read what is there.
    #[error("the database has schema version {0}, which is newer than this adapter")]
    NewerSchema(u32),
    #[error("{0}")]
    Other(String),
}

/// Converts a failure to the error of one interface. Their shapes agree, except
/// that `maintenance` tells a newer schema apart.
macro_rules! report_failures_as {
    ($error:ty) => {
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
    };
}
pub(crate) use report_failures_as;
