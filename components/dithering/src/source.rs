//! What `dithering` knows of an image.

use emporium_sdk::document::Document;
use serde::{Deserialize, Serialize};

/// An image that can be dithered, or why it cannot.
///
/// Every unit that adds a result also writes this, at the version it read: a
/// deletion that came between makes it fail.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) uuid: String,
    /// The SHA-256 of the original.
    pub(crate) digest: String,
    /// Why it cannot be decoded.
    pub(crate) failure: Option<String>,
}

impl Document for Source {
    const COLLECTION: &'static str = "dither-sources";

    fn key(&self) -> String {
        self.uuid.clone()
    }

    fn blobs(&self) -> Vec<String> {
        vec![self.digest.clone()]
    }
}
