//! Arguments of `documents`, checked.

use crate::{
    bindings::documents::{Entry, Error, Query, Range, Selection},
    cursor::InvalidCursor,
    failure::report_failures_as,
    names::{InvalidName, check_entry_value, check_key, check_label},
};

/// The most documents that one call returns.
pub const MOST: usize = 500;

/// How many documents one statement should read. A host limits what a statement
/// may return: to 128 MiB in Spin. A document has at most one.
pub const ROUND: usize = 64;

pub fn check_get(collection: &str, key: &str) -> Result<(), Error> {
    check_label("collection", collection)?;
    Ok(check_key("key", key)?)
}

pub fn check_get_many(collection: &str, keys: &[String]) -> Result<(), Error> {
    check_label("collection", collection)?;
    if keys.len() > MOST {
        return Err(Error::InvalidQuery(format!("more than {MOST} keys")));
    }
    for key in keys {
        check_key("key", key)?;
    }
    Ok(())
}

pub(crate) fn check_query(query: &Query) -> Result<(), Error> {
    check_label("collection", &query.collection)?;
    if !(1..=MOST).contains(&(query.limit as usize)) {
        return Err(Error::InvalidQuery(format!(
            "limit {} must be 1 to {MOST}",
            query.limit
        )));
    }
    match &query.selection {
        Selection::Every => {}
        Selection::KeyPrefix(prefix) => {
            if prefix.contains('\0') {
                return Err(Error::InvalidQuery("a prefix contains NUL".into()));
            }
        }
        Selection::Equal(Entry { index, value }) => {
            check_label("index", index)?;
            check_entry_value(index, value)?;
        }
        Selection::Within(Range { index, from, until }) => {
            check_label("index", index)?;
            for bound in [from, until].into_iter().flatten() {
                check_entry_value(index, bound)?;
            }
        }
    }
    Ok(())
}

report_failures_as!(Error);

impl From<InvalidName> for Error {
    fn from(invalid: InvalidName) -> Self {
        Self::InvalidQuery(invalid.to_string())
    }
}

impl From<InvalidCursor> for Error {
    fn from(invalid: InvalidCursor) -> Self {
        Self::InvalidQuery(invalid.to_string())
    }
}
