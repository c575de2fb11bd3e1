//! Verdicts: whether trying an event again is useful.

use std::time::Duration;

use crate::{
    blobs, document::ReadError, event::InvalidEnvelope, journal::CommitError, unit::InvalidUnit,
};

/// Why an event was not handled, and whether trying again is useful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may work later.
    Retry {
        /// What went wrong.
        reason: String,
        /// Wait so long, instead of what the policy says.
        after: Option<Duration>,
    },
    /// It never will.
    Reject {
        /// What is wrong with it.
        reason: String,
    },
}

impl Verdict {
    /// Try again later.
    pub fn retry(reason: impl ToString) -> Self {
        Self::Retry {
            reason: reason.to_string(),
            after: None,
        }
    }

    /// Give it up.
    pub fn reject(reason: impl ToString) -> Self {
        Self::Reject {
            reason: reason.to_string(),
        }
    }

    /// Give up an event whose `type` the service does not know.
    pub fn unknown(kind: &str) -> Self {
        Self::reject(format!("`{kind}` is not known here"))
    }
}

impl From<InvalidEnvelope> for Verdict {
    fn from(error: InvalidEnvelope) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Self::reject(format!("{error}: {}", cause.unwrap_or_default()))
    }
}

impl From<InvalidUnit> for Verdict {
    fn from(error: InvalidUnit) -> Self {
        Self::reject(error)
    }
}

impl From<ReadError> for Verdict {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::InvalidQuery(_) => Self::reject(error),
            ReadError::Unavailable(_) | ReadError::Other(_) => Self::retry(error),
        }
    }
}

impl From<blobs::Error> for Verdict {
    fn from(error: blobs::Error) -> Self {
        match error {
            blobs::Error::InvalidDigest | blobs::Error::TooLarge(_) => Self::reject(error),
            blobs::Error::Unavailable(_) | blobs::Error::Other(_) => Self::retry(error),
        }
    }
}

impl From<CommitError> for Verdict {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::TooLarge(_) | CommitError::InvalidUnit(_) | CommitError::Repeated => {
                Self::reject(error)
            }
            CommitError::Conflict(_)
            | CommitError::LeaseLost
            | CommitError::NoSuchBlob(_)
            | CommitError::Unavailable(_)
            | CommitError::Other(_) => Self::retry(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_work_is_not_tried_again() {
        for (error, again) in [
            (CommitError::InvalidUnit("x".into()), false),
            (CommitError::Unavailable("x".into()), true),
            (CommitError::NoSuchBlob("x".into()), true),
        ] {
            let verdict = Verdict::from(error);
            assert_eq!(
                matches!(verdict, Verdict::Retry { .. }),
                again,
                "{verdict:?}"
            );
        }
    }
}
