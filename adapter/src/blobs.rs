//! Arguments of `blobs`, checked.

use crate::{bindings::blobs::Error, failure::report_failures_as, names};

/// What one read returns at most.
pub const MOST_BYTES: u32 = 1 << 20;

/// What one call may store: the content is in memory, twice.
pub const LARGEST_PUT: u64 = 256 << 20;

pub fn check_put(content: &[u8]) -> Result<(), Error> {
    if content.len() as u64 <= LARGEST_PUT {
        return Ok(());
    }
    Err(Error::TooLarge(LARGEST_PUT))
}

pub fn check_digest(digest: &str) -> Result<(), Error> {
    names::check_digest(digest).map_err(|_| Error::InvalidDigest)
}

/// What there is to say when an upload is used after a write of it failed.
pub fn void_upload() -> Error {
    Error::Other("the upload is void: an earlier write failed".into())
}

report_failures_as!(Error);
