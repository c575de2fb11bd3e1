//! Documents, read one by one.

use std::iter;

use serde_json::Value as Json;

use crate::{
    Component,
    bindings::documents::{Document, Error, Guest, Page, Query},
    connection::Connection,
    cursor::InvalidCursor,
    failure::{Failure, report_failures_as},
    listing,
    names::{InvalidName, check_key, check_label},
    row::{Row, text},
};

/// The most documents that one call returns.
pub(crate) const MOST: usize = 500;

/// How many documents one statement reads. A host limits what a statement may
/// return: to 128 MiB in Spin. A document has at most one.
pub(crate) const ROUND: usize = 64;

const GET: &str = "SELECT key, version, created_ms, updated_ms, value
    FROM documents WHERE collection = ?1 AND key = ?2";

/// `json_each.key` is the place in the array.
const GET_MANY: &str = "SELECT wanted.key, d.key, version, created_ms, updated_ms, d.value
    FROM json_each(?2) AS wanted
    CROSS JOIN documents AS d ON d.collection = ?1 AND d.key = wanted.value";

impl Guest for Component {
    async fn get(collection: String, key: String) -> Result<Option<Document>, Error> {
        check_label("collection", &collection)?;
        check_key("key", &key)?;
        let row = Connection::current()?.row(GET, &[text(&collection), text(&key)])?;
        Ok(row.map(|mut row| document(&mut row)).transpose()?)
    }

    async fn get_many(
        collection: String,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Document>>, Error> {
        check_label("collection", &collection)?;
        if keys.len() > MOST {
            return Err(Error::InvalidQuery(format!("more than {MOST} keys")));
        }
        for key in &keys {
            check_key("key", key)?;
        }
        Ok(get_many(&collection, keys)?)
    }

    async fn list(query: Query) -> Result<Page, Error> {
        listing::list(&query)
    }
}

fn get_many(collection: &str, keys: Vec<String>) -> Result<Vec<Option<Document>>, Failure> {
    let connection = Connection::current()?;
    let mut found = Vec::with_capacity(keys.len());
    let mut keys = keys.into_iter().map(Json::from).peekable();
    while keys.peek().is_some() {
        let start = found.len();
        let round: Vec<Json> = keys.by_ref().take(ROUND).collect();
        found.extend(iter::repeat_n(None, round.len()));
        let wanted = Json::Array(round).to_string();
        for mut row in connection.rows(GET_MANY, &[text(collection), text(&wanted)])? {
            let place: usize = row.unsigned()?;
            if let Some(slot) = found.get_mut(start + place) {
                *slot = Some(document(&mut row)?);
            }
        }
    }
    Ok(found)
}

/// Reads the columns `key, version, created_ms, updated_ms, value`.
pub(crate) fn document(row: &mut Row) -> Result<Document, Failure> {
    Ok(Document {
        key: row.text()?,
        version: row.unsigned()?,
        created_at_ms: row.unsigned()?,
        updated_at_ms: row.unsigned()?,
        value: row.blob()?,
    })
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
