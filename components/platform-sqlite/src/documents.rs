//! Documents, read one by one and listed.

use std::iter;

use emporium_adapter::{
    Failure,
    bindings::documents::{Document, Error, Guest, Order, Page, Query},
    documents::{ROUND, check_get, check_get_many},
    listing::{self, Interval},
};
use serde_json::Value as Json;

use crate::{
    Component,
    connection::Connection,
    row::{Row, integer, text},
};

const GET: &str = "SELECT key, version, created_ms, updated_ms, value
    FROM documents WHERE collection = ?1 AND key = ?2";

/// `json_each.key` is the place in the array.
const GET_MANY: &str = "SELECT wanted.key, d.key, version, created_ms, updated_ms, d.value
    FROM json_each(?2) AS wanted
    CROSS JOIN documents AS d ON d.collection = ?1 AND d.key = wanted.value";

const BY_KEY: Statements = Statements {
    ascending: "SELECT key, version, created_ms, updated_ms, value FROM documents
        WHERE collection = ?1 AND key >= ?2 AND key < ?3
        ORDER BY key LIMIT ?4",
    descending: "SELECT key, version, created_ms, updated_ms, value FROM documents
        WHERE collection = ?1 AND key >= ?2 AND key < ?3
        ORDER BY key DESC LIMIT ?4",
};

const BY_ENTRY: Statements = Statements {
    ascending: "SELECT d.key, version, created_ms, updated_ms, d.value, e.value
        FROM entries AS e CROSS JOIN documents AS d ON d.id = e.document
        WHERE e.collection = ?1 AND e.name = ?2
            AND (e.value, e.key) >= (?3, ?4) AND (e.value, e.key) < (?5, ?6)
        ORDER BY e.value, e.key LIMIT ?7",
    descending: "SELECT d.key, version, created_ms, updated_ms, d.value, e.value
        FROM entries AS e CROSS JOIN documents AS d ON d.id = e.document
        WHERE e.collection = ?1 AND e.name = ?2
            AND (e.value, e.key) >= (?3, ?4) AND (e.value, e.key) < (?5, ?6)
        ORDER BY e.value DESC, e.key DESC LIMIT ?7",
};

struct Statements {
    ascending: &'static str,
    descending: &'static str,
}

impl Guest for Component {
    async fn get(collection: String, key: String) -> Result<Option<Document>, Error> {
        check_get(&collection, &key)?;
        let row = Connection::current()?.row(GET, &[text(&collection), text(&key)])?;
        Ok(row.map(|mut row| document(&mut row)).transpose()?)
    }

    async fn get_many(
        collection: String,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Document>>, Error> {
        check_get_many(&collection, &keys)?;
        Ok(get_many(&collection, keys)?)
    }

    async fn list(query: Query) -> Result<Page, Error> {
        listing::list(
            &query,
            async |interval, limit| by_key(&query, interval, limit),
            async |index, interval, limit| by_entry(&query, index, interval, limit),
        )
        .await
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

fn by_key(query: &Query, interval: &Interval<1>, limit: usize) -> Result<Vec<Document>, Failure> {
    let ([from], [until]) = (&interval.from, &interval.until);
    let bounds = [
        text(&query.collection),
        text(from),
        text(until),
        integer(limit),
    ];
    Connection::current()?
        .rows(BY_KEY.ordered(query.order), &bounds)?
        .map(|mut row| document(&mut row))
        .collect()
}

fn by_entry(
    query: &Query,
    index: &str,
    interval: &Interval<2>,
    limit: usize,
) -> Result<Vec<(String, Document)>, Failure> {
    let ([from_value, from_key], [until_value, until_key]) = (&interval.from, &interval.until);
    let bounds = [
        text(&query.collection),
        text(index),
        text(from_value),
        text(from_key),
        text(until_value),
        text(until_key),
        integer(limit),
    ];
    Connection::current()?
        .rows(BY_ENTRY.ordered(query.order), &bounds)?
        .map(|mut row| {
            let document = document(&mut row)?;
            Ok((row.text()?, document))
        })
        .collect()
}

impl Statements {
    fn ordered(&self, order: Order) -> &'static str {
        match order {
            Order::Ascending => self.ascending,
            Order::Descending => self.descending,
        }
    }
}

/// Reads the columns `key, version, created_ms, updated_ms, value`.
fn document(row: &mut Row) -> Result<Document, Failure> {
    Ok(Document {
        key: row.text()?,
        version: row.unsigned()?,
        created_at_ms: row.unsigned()?,
        updated_at_ms: row.unsigned()?,
        value: row.blob()?,
    })
}
