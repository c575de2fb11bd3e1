//! Documents, read one by one or in listings.

use emporium_adapter::{
    Failure,
    bindings::documents::{Document, Error, Guest, Order, Page, Query},
    documents::{ROUND, check_get, check_get_many},
    listing::{self, Interval},
};

use crate::{
    Component, connection,
    row::{Row, small, text, texts},
};

const GET: &str = "SELECT key, version, created_ms, updated_ms, value
    FROM emporium_2.documents WHERE collection = $1 AND key = $2";

const GET_MANY: &str =
    "SELECT (w.n - 1)::int, d.key, d.version, d.created_ms, d.updated_ms, d.value
    FROM unnest($2::text[]) WITH ORDINALITY AS w (key, n)
    JOIN emporium_2.documents AS d ON d.collection = $1 AND d.key = w.key";

const BY_KEY: &str = "SELECT key, version, created_ms, updated_ms, value
    FROM emporium_2.documents WHERE collection = $1 AND key >= $2 AND key < $3
    ORDER BY key LIMIT $4::int";
const BY_KEY_DESCENDING: &str = "SELECT key, version, created_ms, updated_ms, value
    FROM emporium_2.documents WHERE collection = $1 AND key >= $2 AND key < $3
    ORDER BY key DESC LIMIT $4::int";

const BY_ENTRY: &str = "SELECT e.value, d.key, version, created_ms, updated_ms, d.value
    FROM emporium_2.entries AS e
    JOIN emporium_2.documents AS d ON d.collection = e.collection AND d.key = e.key
    WHERE e.collection = $1 AND e.name = $2
        AND (e.value, e.key) >= ($3, $4) AND (e.value, e.key) < ($5, $6)
    ORDER BY e.value, e.key LIMIT $7::int";
const BY_ENTRY_DESCENDING: &str = "SELECT e.value, d.key, version, created_ms, updated_ms, d.value
    FROM emporium_2.entries AS e
    JOIN emporium_2.documents AS d ON d.collection = e.collection AND d.key = e.key
    WHERE e.collection = $1 AND e.name = $2
        AND (e.value, e.key) >= ($3, $4) AND (e.value, e.key) < ($5, $6)
    ORDER BY e.value DESC, e.key DESC LIMIT $7::int";

impl Guest for Component {
    async fn get(collection: String, key: String) -> Result<Option<Document>, Error> {
        check_get(&collection, &key)?;
        let row = connection::row(GET, vec![text(collection), text(key)]).await?;
        Ok(row.map(|mut row| document(&mut row)).transpose()?)
    }

    async fn get_many(
        collection: String,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Document>>, Error> {
        check_get_many(&collection, &keys)?;
        Ok(get_many(&collection, keys).await?)
    }

    async fn list(query: Query) -> Result<Page, Error> {
        let collection = query.collection.as_str();
        let statement = |ascending, descending| match query.order {
            Order::Ascending => ascending,
            Order::Descending => descending,
        };
        let by_key = async |interval: &Interval<1>, limit: usize| {
            let ([from], [until]) = (&interval.from, &interval.until);
            let parameters = vec![text(collection), text(from), text(until), small(limit)];
            let statement = statement(BY_KEY, BY_KEY_DESCENDING);
            let rows = connection::rows(statement, parameters).await?;
            rows.map(|mut row| document(&mut row)).collect()
        };
        let by_entry = async |index: &str, interval: &Interval<2>, limit: usize| {
            let places = interval.from.iter().chain(&interval.until);
            let mut parameters = vec![text(collection), text(index)];
            parameters.extend(places.map(text));
            parameters.push(small(limit));
            let statement = statement(BY_ENTRY, BY_ENTRY_DESCENDING);
            let rows = connection::rows(statement, parameters).await?;
            rows.map(|mut row| Ok((row.text()?, document(&mut row)?)))
                .collect()
        };
        listing::list(&query, by_key, by_entry).await
    }
}

async fn get_many(collection: &str, keys: Vec<String>) -> Result<Vec<Option<Document>>, Failure> {
    let mut found: Vec<_> = keys.iter().map(|_| None).collect();
    for (round, keys) in keys.chunks(ROUND).enumerate() {
        let wanted = vec![text(collection), texts(keys.iter().cloned())];
        for mut row in connection::rows(GET_MANY, wanted).await? {
            let place: usize = row.unsigned()?;
            if let Some(slot) = found.get_mut(round * ROUND + place) {
                *slot = Some(document(&mut row)?);
            }
        }
    }
    Ok(found)
}

/// Reads the columns `key, version, created_ms, updated_ms, value`.
fn document(row: &mut Row) -> Result<Document, Failure> {
    Ok(Document {
        key: row.text()?,
        version: row.unsigned()?,
        created_at_ms: row.unsigned()?,
        updated_at_ms: row.unsigned()?,
        value: row.bytes()?,
    })
}
