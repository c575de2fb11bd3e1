//! A file that the file API serves under a name of its own.

use emporium_sdk::document::Document;
use serde::{Deserialize, Serialize};

/// A named file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct File {
    pub(crate) file_name: String,
    /// What to call it when it is saved.
    pub(crate) title: String,
    pub(crate) digest: String,
    pub(crate) content_type: String,
    pub(crate) size_bytes: u64,
}

impl Document for File {
    const COLLECTION: &'static str = "files";

    fn key(&self) -> String {
        self.file_name.clone()
    }

    fn blobs(&self) -> Vec<String> {
        vec![self.digest.clone()]
    }
}

/// Whether a name can be that of a file: 1 to 128 of `A-Z a-z 0-9 . _ -`, not
/// starting with a dot.
pub(crate) fn is_file_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        for name in [
            "", ".", "..", ".hidden", "a/b", "a\\b", "a b", "ü.png", "a\0",
        ] {
            assert!(!is_file_name(name), "{name:?}");
        }
        assert!(!is_file_name(&"a".repeat(129)));
        assert!(is_file_name("0192-a_B.png"));
    }
}
