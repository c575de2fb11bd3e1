//! Everything that is wrong with a manifest, reported at once.

use std::fmt;

/// The problems found in one file, each with the key it is about.
#[derive(Debug, Default)]
pub struct Problems {
    file: String,
    found: Vec<String>,
}

impl Problems {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            found: Vec::new(),
        }
    }

    /// Notes that `key` is wrong; `what` says how, and what to do.
    pub(super) fn add(&mut self, key: impl fmt::Display, what: impl fmt::Display) {
        self.found.push(format!("{key}: {what}"));
    }

    /// Notes the error of `result`, if it is one.
    pub(super) fn check<T, E: fmt::Display>(
        &mut self,
        key: impl fmt::Display,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|error| self.add(key, error.to_string().trim()))
            .ok()
    }

    /// `value`, unless there were problems.
    pub(super) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.found.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.file;
        match self.found.as_slice() {
            [one] => write!(f, "{file}: {one}"),
            many => {
                write!(f, "{file} has {} problems:", many.len())?;
                many.iter()
                    .try_for_each(|problem| write!(f, "\n  {}", problem.replace('\n', "\n    ")))
            }
        }
    }
}

impl std::error::Error for Problems {}
