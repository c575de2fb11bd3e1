//! Accounts: the numbers of the entries with one key, as they were handled.

use emporium_sdk::document::Document;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) numbers: Vec<u32>,
}

impl Document for Account {
    const COLLECTION: &'static str = "accounts";

    fn key(&self) -> String {
        self.name.clone()
    }
}
