//! Why a soundtrack cannot be taken out.

use crate::soundtracks::Error as WitError;

/// Why an extraction ended without a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("the file is in none of the containers that are read")]
    UnsupportedContainer,
    #[error("the file has no audio")]
    NoAudioTrack,
    #[error("the codec {0} is not supported")]
    UnsupportedCodec(String),
    #[error("the file is damaged: {0}")]
    Malformed(String),
    #[error("a limit is passed: {0}")]
    TooLarge(String),
    #[error("{0}")]
    Other(String),
}

impl Error {
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }
}

impl From<Error> for WitError {
    fn from(error: Error) -> Self {
        match error {
            Error::UnsupportedContainer => Self::UnsupportedContainer,
            Error::NoAudioTrack => Self::NoAudioTrack,
            Error::UnsupportedCodec(codec) => Self::UnsupportedCodec(codec),
            Error::Malformed(what) => Self::Malformed(what),
            Error::TooLarge(what) => Self::TooLarge(what),
            Error::Other(what) => Self::Other(what),
        }
    }
}
