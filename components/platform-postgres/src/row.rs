//! Values on their way into statements, and out of rows.

use emporium_adapter::Failure;
use spin_sdk::pg::wit::postgres::{DbValue, ParameterValue};

/// The integers of Postgres are signed: moments and counters beyond that are as
/// good as the end of time.
pub(crate) fn integer(value: impl TryInto<i64>) -> ParameterValue {
    ParameterValue::Int64(signed(value))
}

pub(crate) fn optional_integer(value: Option<impl TryInto<i64>>) -> ParameterValue {
    value.map_or(ParameterValue::DbNull, integer)
}

pub(crate) fn small(value: impl TryInto<i32>) -> ParameterValue {
    ParameterValue::Int32(value.try_into().unwrap_or(i32::MAX))
}

pub(crate) fn text(value: impl Into<String>) -> ParameterValue {
    ParameterValue::Str(value.into())
}

pub(crate) fn optional_text(value: Option<String>) -> ParameterValue {
    value.map_or(ParameterValue::DbNull, ParameterValue::Str)
}

pub(crate) fn integers<T: TryInto<i64>>(values: impl IntoIterator<Item = T>) -> ParameterValue {
    let values = values.into_iter().map(|value| Some(signed(value)));
    ParameterValue::ArrayInt64(values.collect())
}

pub(crate) fn smalls<T: TryInto<i32>>(values: impl IntoIterator<Item = T>) -> ParameterValue {
    let values = values.into_iter();
    let values = values.map(|value| Some(value.try_into().unwrap_or(i32::MAX)));
    ParameterValue::ArrayInt32(values.collect())
}

pub(crate) fn texts(values: impl IntoIterator<Item = String>) -> ParameterValue {
    ParameterValue::ArrayStr(values.into_iter().map(Some).collect())
}

pub(crate) fn signed(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// A row that is read column by column, in the order of the statement.
pub(crate) struct Row {
    values: std::vec::IntoIter<DbValue>,
}

impl From<Vec<DbValue>> for Row {
    fn from(values: Vec<DbValue>) -> Self {
        Self {
            values: values.into_iter(),
        }
    }
}

impl Row {
    fn integer(&mut self) -> Result<i64, Failure> {
        match self.values.next() {
            Some(DbValue::Int64(value)) => Ok(value),
            Some(DbValue::Int32(value)) => Ok(value.into()),
            other => Err(unexpected("an integer", other)),
        }
    }

    pub(crate) fn unsigned<T: TryFrom<i64>>(&mut self) -> Result<T, Failure> {
        count(self.integer()?)
    }

    pub(crate) fn optional_unsigned<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, Failure> {
        if self.skip_null() {
            return Ok(None);
        }
        self.unsigned().map(Some)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Failure> {
        match self.values.next() {
            Some(DbValue::Boolean(value)) => Ok(value),
            other => Err(unexpected("a truth value", other)),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String, Failure> {
        match self.values.next() {
            Some(DbValue::Str(value)) => Ok(value),
            other => Err(unexpected("text", other)),
        }
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<String>, Failure> {
        if self.skip_null() {
            return Ok(None);
        }
        self.text().map(Some)
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Failure> {
        match self.values.next() {
            Some(DbValue::Binary(value)) => Ok(value),
            other => Err(unexpected("bytes", other)),
        }
    }

    pub(crate) fn optional_bytes(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        if self.skip_null() {
            return Ok(None);
        }
        self.bytes().map(Some)
    }

    /// An array of numbers; none is one without any.
    pub(crate) fn unsigneds<T: TryFrom<i64>>(&mut self) -> Result<Vec<T>, Failure> {
        match self.values.next() {
            Some(DbValue::DbNull) => Ok(Vec::new()),
            Some(DbValue::ArrayInt64(values)) => values.into_iter().flatten().map(count).collect(),
            Some(DbValue::ArrayInt32(values)) => {
                let values = values.into_iter().flatten();
                values.map(|value| count(value.into())).collect()
            }
            other => Err(unexpected("integers", other)),
        }
    }

    /// An array of texts, some of which may be absent; none is one without any.
    pub(crate) fn optional_texts(&mut self) -> Result<Vec<Option<String>>, Failure> {
        match self.values.next() {
            Some(DbValue::DbNull) => Ok(Vec::new()),
            Some(DbValue::ArrayStr(values)) => Ok(values),
            other => Err(unexpected("texts", other)),
        }
    }

    pub(crate) fn texts(&mut self) -> Result<Vec<String>, Failure> {
        Ok(self.optional_texts()?.into_iter().flatten().collect())
    }

    fn skip_null(&mut self) -> bool {
        let is_null = matches!(self.values.as_slice().first(), Some(DbValue::DbNull));
        if is_null {
            self.values.next();
        }
        is_null
    }
}

fn count<T: TryFrom<i64>>(value: i64) -> Result<T, Failure> {
    value
        .try_into()
        .map_err(|_| Failure::Other(format!("expected a count in a row, found {value}")))
}

/// The value itself stays out of the message: it may be a customer's.
fn unexpected(wanted: &str, found: Option<DbValue>) -> Failure {
    let found = match found {
        None => "no column",
        Some(DbValue::DbNull) => "null",
        Some(_) => "another type",
    };
    Failure::Other(format!("expected {wanted} in a row, found {found}"))
}
