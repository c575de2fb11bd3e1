//! Values on their way into statements, and out of rows.

use emporium_adapter::Failure;
use spin_sdk::sqlite::{RowResult, Value};

/// SQLite's integers are signed: moments and counters beyond that are as good as
/// the end of time.
pub(crate) fn integer(value: impl TryInto<i64>) -> Value {
    Value::Integer(value.try_into().unwrap_or(i64::MAX))
}

pub(crate) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub(crate) fn optional_integer(value: Option<impl TryInto<i64>>) -> Value {
    value.map_or(Value::Null, integer)
}

pub(crate) fn optional_text(value: Option<&str>) -> Value {
    value.map_or(Value::Null, text)
}

/// As a statement takes a list. What is written here has no value that JSON cannot
/// express.
pub(crate) fn json(list: &impl serde::Serialize) -> String {
    serde_json::to_string(list).unwrap_or_default()
}

/// A row that is read column by column, in the order of the statement.
pub(crate) struct Row {
    values: std::vec::IntoIter<Value>,
}

impl From<RowResult> for Row {
    fn from(row: RowResult) -> Self {
        Self {
            values: row.values.into_iter(),
        }
    }
}

impl Row {
    pub(crate) fn integer(&mut self) -> Result<i64, Failure> {
        match self.values.next() {
            Some(Value::Integer(value)) => Ok(value),
            other => Err(unexpected("an integer", other)),
        }
    }

    pub(crate) fn unsigned<T: TryFrom<i64>>(&mut self) -> Result<T, Failure> {
        let value = self.integer()?;
        value
            .try_into()
            .map_err(|_| unexpected("a count", Some(Value::Integer(value))))
    }

    pub(crate) fn optional_integer(&mut self) -> Result<Option<i64>, Failure> {
        match self.values.next() {
            Some(Value::Null) => Ok(None),
            Some(Value::Integer(value)) => Ok(Some(value)),
            other => Err(unexpected("an integer or nothing", other)),
        }
    }

    pub(crate) fn optional_unsigned<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, Failure> {
        if let Some(Value::Null) = self.values.as_slice().first() {
            self.values.next();
            return Ok(None);
        }
        self.unsigned().map(Some)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Failure> {
        Ok(self.integer()? != 0)
    }

    pub(crate) fn text(&mut self) -> Result<String, Failure> {
        match self.values.next() {
            Some(Value::Text(value)) => Ok(value),
            other => Err(unexpected("text", other)),
        }
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<String>, Failure> {
        match self.values.next() {
            Some(Value::Null) => Ok(None),
            Some(Value::Text(value)) => Ok(Some(value)),
            other => Err(unexpected("text or nothing", other)),
        }
    }

    pub(crate) fn blob(&mut self) -> Result<Vec<u8>, Failure> {
        match self.values.next() {
            Some(Value::Blob(value)) => Ok(value),
            other => Err(unexpected("a blob", other)),
        }
    }
}

/// The value itself stays out of the message: it may be a customer's.
fn unexpected(wanted: &str, found: Option<Value>) -> Failure {
    let found = match found {
        None => "no column",
        Some(Value::Null) => "null",
        Some(Value::Integer(_)) => "an integer",
        Some(Value::Real(_)) => "a real",
        Some(Value::Text(_)) => "text",
        Some(Value::Blob(_)) => "a blob",
    };
    Failure::Other(format!("expected {wanted} in a row, found {found}"))
}
