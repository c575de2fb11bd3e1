//! Why a picture was refused.

use image::ImageError;

use crate::bindings::exports::emporium::imaging::pictures::Error as WitError;

/// The reasons, named as in the contract.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("the content is no PNG, JPEG, GIF or WebP")]
    UnrecognisedFormat,
    #[error("the content is damaged: {0}")]
    Malformed(String),
    #[error("{0} pixels are too many")]
    TooManyPixels(u64),
    #[error("{0} bytes of memory are too much")]
    TooMuchMemory(u64),
    #[error("the bounds name no side, or one out of range")]
    InvalidBounds,
    #[error("the quality is not from 1 to 100")]
    InvalidQuality,
    #[error("the levels are not from 2 to 256")]
    InvalidLevels,
    #[error("{0}")]
    Other(String),
}

impl Refusal {
    /// What a decoder said. A limit that it met after the header was accepted
    /// means that the content does not keep to its header.
    pub(crate) fn from_decoding(error: ImageError) -> Self {
        match error {
            ImageError::Unsupported(unsupported) => Self::Other(unsupported.to_string()),
            other => Self::Malformed(other.to_string()),
        }
    }

    /// What a resizer or an encoder said.
    pub(crate) fn from_writing(error: impl std::error::Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<Refusal> for WitError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnrecognisedFormat => Self::UnrecognisedFormat,
            Refusal::Malformed(place) => Self::Malformed(place),
            Refusal::TooManyPixels(pixels) => Self::TooManyPixels(pixels),
            Refusal::TooMuchMemory(bytes) => Self::TooMuchMemory(bytes),
            Refusal::InvalidBounds => Self::InvalidBounds,
            Refusal::InvalidQuality => Self::InvalidQuality,
            Refusal::InvalidLevels => Self::InvalidLevels,
            Refusal::Other(cause) => Self::Other(cause),
        }
    }
}
