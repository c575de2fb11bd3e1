//! Effects: what the handling of an event left behind.

use emporium_sdk::document::Document;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Effect {
    pub(crate) event: String,
    pub(crate) account: String,
    pub(crate) number: u32,
    /// The host on which it was handled, if hosts have names.
    pub(crate) worker: Option<String>,
    /// The attempt that succeeded.
    pub(crate) attempt: u32,
    /// How often it was handled; once, if the platform keeps its word.
    pub(crate) times: u32,
}

impl Document for Effect {
    const COLLECTION: &'static str = "effects";

    fn key(&self) -> String {
        self.event.clone()
    }
}
