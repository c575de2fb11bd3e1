//! Configuration: Spin variables, read and checked once per instance, with all
//! problems named at once.

use std::{fmt::Display, str::FromStr, sync::Arc};

use futures::lock::Mutex;

/// Variables being read. Ask for each, then [`Variables::finish`].
#[derive(Debug, Default)]
pub struct Variables {
    problems: Vec<String>,
}

/// The variables that are missing or invalid.
#[derive(Clone, Debug, thiserror::Error)]
#[error("configuration: {}", .0.join("; "))]
pub struct InvalidVariables(pub Vec<String>);

/// Settings that an instance reads at their first use, and keeps.
#[derive(Debug)]
pub struct Kept<T>(Mutex<Option<Arc<T>>>);

impl<T> Kept<T> {
    /// None yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The settings. Those that are invalid are read again the next time.
    pub async fn get(
        &self,
        read: impl Future<Output = Result<T, InvalidVariables>>,
    ) -> Result<Arc<T>, InvalidVariables> {
        let mut kept = self.0.lock().await;
        if let Some(settings) = &*kept {
            return Ok(Arc::clone(settings));
        }
        let settings = Arc::new(read.await?);
        *kept = Some(Arc::clone(&settings));
        Ok(settings)
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl Variables {
    /// Begin to read.
    pub fn new() -> Self {
        Self::default()
    }

    /// Read a variable and parse it. A missing or invalid one is noted, and
    /// [`Variables::finish`] reports it.
    pub async fn get<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        match spin_sdk::variables::get(name).await {
            Ok(text) => self.parse(name, &text),
            Err(error) => {
                self.problems.push(format!("`{name}` is missing: {error}"));
                None
            }
        }
    }

    /// The value that `read` makes of what was asked for, if all of it was there.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, InvalidVariables> {
        match read {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(InvalidVariables(self.problems)),
        }
    }

    fn parse<T>(&mut self, name: &str, text: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                // Not the value: it may be a secret.
                self.problems.push(format!("`{name}` is invalid: {error}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invalid_variable_is_named() {
        let mut variables = Variables::new();
        let port: Option<u16> = variables.parse("port", "many");
        let rate: Option<f64> = variables.parse("rate", "fast");
        let error = variables
            .finish(port.zip(rate))
            .map_err(|error| error.to_string());
        let message = error.err().unwrap_or_default();
        assert!(
            message.contains("`port`") && message.contains("`rate`"),
            "{message}"
        );
        assert!(!message.contains("many"), "{message}");
    }
}
