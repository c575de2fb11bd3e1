//! Changes to documents: planned, then written.

use std::collections::BTreeSet;

use emporium_adapter::{
    Failure,
    bindings::journal::{CommitError, Conflict, Expectation, Put, Removal, Write},
    unit::document_of,
};
use spin_sdk::sqlite::Value;

use crate::{
    connection::Connection,
    journal::Refusal,
    row::{integer, json, text},
};

const FIND: &str = "SELECT id, version, entries, blobs FROM documents
    WHERE collection = ?1 AND key = ?2";
const FIND_REMOVAL: &str = "SELECT version FROM removals WHERE collection = ?1 AND key = ?2";
const FIND_MISSING_BLOB: &str = "SELECT value FROM json_each(?1)
    WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE digest = value) LIMIT 1";

const INSERT: &str = "INSERT INTO documents
    (collection, key, version, created_ms, updated_ms, entries, blobs, value)
    VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7) RETURNING id";
const UPDATE: &str = "UPDATE documents
    SET version = ?2, updated_ms = ?3, entries = ?4, blobs = ?5, value = ?6 WHERE id = ?1";
const DELETE: &str = "DELETE FROM documents WHERE id = ?1";

const ADD_REMOVAL: &str = "INSERT INTO removals (collection, key, version, removed_ms)
    VALUES (?1, ?2, ?3, ?4)";
const DROP_REMOVAL: &str = "DELETE FROM removals WHERE collection = ?1 AND key = ?2";

const ADD_ENTRIES: &str = "INSERT INTO entries (collection, name, value, key, document)
    SELECT ?1, e.value ->> 0, e.value ->> 1, ?2, ?3 FROM json_each(?4) AS e";
const DROP_ENTRIES: &str = "DELETE FROM entries WHERE (collection, name, value, key) IN
    (SELECT ?1, e.value ->> 0, e.value ->> 1, ?2 FROM json_each(?3) AS e)";

const REFER: &str = "INSERT INTO blob_references (blob, document)
    SELECT b.id, ?1 FROM json_each(?2) AS d JOIN blobs AS b ON b.digest = d.value";
const KEEP: &str = "UPDATE blobs SET unreferenced_ms = NULL
    WHERE digest IN (SELECT value FROM json_each(?1))";
const LET_GO: &str = "DELETE FROM blob_references WHERE document = ?1 AND blob IN
    (SELECT id FROM blobs WHERE digest IN (SELECT value FROM json_each(?2)))";
const UNKEEP: &str = "UPDATE blobs SET unreferenced_ms = ?2
    WHERE digest IN (SELECT value FROM json_each(?1))
        AND NOT EXISTS (SELECT 1 FROM blob_references WHERE blob = blobs.id)";

/// A write whose expectation holds.
pub(crate) struct Plan<'u> {
    collection: &'u str,
    key: &'u str,
    /// The document as it stands.
    found: Option<Found>,
    /// The version that removed it, if one did.
    removed_at: Option<u64>,
    next: Option<Next<'u>>,
}

struct Found {
    id: i64,
    version: u64,
    related: Related,
}

/// The document as it will be.
struct Next<'u> {
    value: &'u [u8],
    related: Related,
}

/// What stands in other tables about a document.
#[derive(Default)]
struct Related {
    entries: BTreeSet<(String, String)>,
    blobs: BTreeSet<String>,
}

impl<'u> Plan<'u> {
    /// Look at what is there, and refuse the write if it is not as expected.
    pub(crate) fn of(write: &'u Write, connection: &Connection) -> Result<Self, Refusal> {
        let (collection, key) = document_of(write);
        let found = Found::read(connection, collection, key)?;
        let (Write::Put(Put { expected, .. }) | Write::Remove(Removal { expected, .. })) = write;
        let version = found.as_ref().map(|found| found.version);
        let as_expected = match *expected {
            Expectation::Absent => version.is_none(),
            Expectation::Version(expected) => version == Some(expected),
            Expectation::Any => true,
        };
        if !as_expected {
            let (collection, key) = (collection.to_owned(), key.to_owned());
            let conflict = Conflict {
                collection,
                key,
                found: version,
            };
            return Err(CommitError::Conflict(conflict).into());
        }
        let next = match write {
            Write::Remove(_) => None,
            Write::Put(put) => {
                let related = Related::of(put);
                if found
                    .as_ref()
                    .is_none_or(|found| found.related.blobs != related.blobs)
                {
                    related.check_blobs(connection)?;
                }
                Some(Next {
                    value: &put.value,
                    related,
                })
            }
        };
        let removed_at = match found {
            Some(_) => None,
            None => connection
                .row(FIND_REMOVAL, &[text(collection), text(key)])?
                .map(|mut row| row.unsigned())
                .transpose()?,
        };
        Ok(Self {
            collection,
            key,
            found,
            removed_at,
            next,
        })
    }

    /// Returns the version that the document then has.
    pub(crate) fn apply(self, connection: &Connection, now: u64) -> Result<u64, Failure> {
        let before = self
            .found
            .as_ref()
            .map(|found| found.version)
            .or(self.removed_at);
        let version = before.unwrap_or(0) + 1;
        let document = [text(self.collection), text(self.key)];
        match (self.found, self.next) {
            (None, None) => return Ok(before.unwrap_or(0)),
            (None, Some(next)) => {
                if self.removed_at.is_some() {
                    connection.execute(DROP_REMOVAL, &document)?;
                }
                let [collection, key] = document.clone();
                let id = connection
                    .row(
                        INSERT,
                        &[
                            collection,
                            key,
                            integer(version),
                            integer(now),
                            text(&next.related.entries_json()),
                            text(&next.related.blobs_json()),
                            Value::Blob(next.value.to_vec()),
                        ],
                    )?
                    .ok_or_else(|| Failure::Other("a new document has no id".into()))?
                    .integer()?;
                Related::default().replace_by(&next.related, connection, document, id, now)?;
            }
            (Some(found), Some(next)) => {
                connection.execute(
                    UPDATE,
                    &[
                        integer(found.id),
                        integer(version),
                        integer(now),
                        text(&next.related.entries_json()),
                        text(&next.related.blobs_json()),
                        Value::Blob(next.value.to_vec()),
                    ],
                )?;
                found
                    .related
                    .replace_by(&next.related, connection, document, found.id, now)?;
            }
            (Some(found), None) => {
                connection.execute(DELETE, &[integer(found.id)])?;
                let [collection, key] = document.clone();
                let removal = [collection, key, integer(version), integer(now)];
                connection.execute(ADD_REMOVAL, &removal)?;
                let nothing = Related::default();
                found
                    .related
                    .replace_by(&nothing, connection, document, found.id, now)?;
            }
        }
        Ok(version)
    }
}

impl Found {
    fn read(connection: &Connection, collection: &str, key: &str) -> Result<Option<Self>, Failure> {
        let Some(mut row) = connection.row(FIND, &[text(collection), text(key)])? else {
            return Ok(None);
        };
        let (id, version) = (row.integer()?, row.unsigned()?);
        let related = Related::parse(&row.text()?, &row.text()?)?;
        Ok(Some(Self {
            id,
            version,
            related,
        }))
    }
}

impl Related {
    fn of(put: &Put) -> Self {
        let entries = put.entries.iter();
        Self {
            entries: entries
                .map(|entry| (entry.index.clone(), entry.value.clone()))
                .collect(),
            blobs: put.blobs.iter().cloned().collect(),
        }
    }

    fn parse(entries: &str, blobs: &str) -> Result<Self, Failure> {
        let damaged = |error| Failure::Other(format!("a document is damaged: {error}"));
        Ok(Self {
            entries: serde_json::from_str(entries).map_err(damaged)?,
            blobs: serde_json::from_str(blobs).map_err(damaged)?,
        })
    }

    fn entries_json(&self) -> String {
        json(&self.entries)
    }

    fn blobs_json(&self) -> String {
        json(&self.blobs)
    }

    fn check_blobs(&self, connection: &Connection) -> Result<(), Refusal> {
        if self.blobs.is_empty() {
            return Ok(());
        }
        match connection.row(FIND_MISSING_BLOB, &[text(&self.blobs_json())])? {
            Some(mut row) => Err(CommitError::NoSuchBlob(row.text()?).into()),
            None => Ok(()),
        }
    }

    /// Touch only what differs: most writes leave most entries as they were.
    fn replace_by(
        &self,
        next: &Self,
        connection: &Connection,
        document: [Value; 2],
        id: i64,
        now: u64,
    ) -> Result<(), Failure> {
        let [collection, key] = document;
        let dropped: BTreeSet<_> = self.entries.difference(&next.entries).collect();
        if !dropped.is_empty() {
            let entries = text(&json(&dropped));
            connection.execute(DROP_ENTRIES, &[collection.clone(), key.clone(), entries])?;
        }
        let added: BTreeSet<_> = next.entries.difference(&self.entries).collect();
        if !added.is_empty() {
            let entries = text(&json(&added));
            connection.execute(ADD_ENTRIES, &[collection, key, integer(id), entries])?;
        }
        let added: BTreeSet<_> = next.blobs.difference(&self.blobs).collect();
        if !added.is_empty() {
            let blobs = text(&json(&added));
            connection.execute(REFER, &[integer(id), blobs.clone()])?;
            connection.execute(KEEP, &[blobs])?;
        }
        let dropped: BTreeSet<_> = self.blobs.difference(&next.blobs).collect();
        if !dropped.is_empty() {
            let blobs = text(&json(&dropped));
            connection.execute(LET_GO, &[integer(id), blobs.clone()])?;
            connection.execute(UNKEEP, &[blobs, integer(now)])?;
        }
        Ok(())
    }
}
