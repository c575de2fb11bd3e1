//! What became of a URL that was fetched.

use emporium_sdk::document::Document;
use serde::{Deserialize, Serialize};

/// A URL, known by the id made from it, and what is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fetched {
    pub(crate) media_id: String,
    pub(crate) url: String,
    pub(crate) outcome: Outcome,
}

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// A file, which is kept for good.
    Stored(Stored),
    /// Nothing that can be kept. It is not asked for again for a while.
    Failed {
        reason: String,
        /// Milliseconds since the Unix epoch.
        until_ms: u64,
    },
}

/// A file that was made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) file_name: String,
    pub(crate) content_type: String,
    /// Pixels, of a picture.
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    /// Why it is kept as it came, where it should have been converted.
    pub(crate) conversion_error: Option<String>,
}

impl Document for Fetched {
    const COLLECTION: &'static str = "fetched";

    fn key(&self) -> String {
        self.media_id.clone()
    }
}
