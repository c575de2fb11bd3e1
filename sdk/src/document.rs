//! Typed documents: what a service keeps, and how it finds it again.

use serde::{Serialize, de::DeserializeOwned};

pub use crate::documents::{Entry, Error as ReadError, Order, Range, Selection};
use crate::{consumer::overlay, documents, group_read, journal, platform};

/// A value that is kept in a collection.
pub trait Document: Serialize + DeserializeOwned {
    /// The name of its collection, which no other type shares.
    const COLLECTION: &'static str;

    /// Its name inside the collection.
    fn key(&self) -> String;

    /// Everything by which it can be listed.
    fn entries(&self) -> Vec<Entry> {
        Vec::new()
    }

    /// The digests of the blobs that must live as long as it does.
    fn blobs(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A document and the version at which it was read.
#[derive(Clone, Debug)]
pub struct Stored<D> {
    /// The value.
    pub value: D,
    /// What a write must expect in order not to overwrite somebody else's.
    pub version: u64,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// Milliseconds since the Unix epoch.
    pub updated_at_ms: u64,
}

/// An index entry; values are ordered by their bytes.
pub fn entry(index: &str, value: impl Into<String>) -> Entry {
    Entry {
        index: index.into(),
        value: value.into(),
    }
}

/// Read a document; `None` if there is none.
///
/// Concurrent reads of one collection go to the database together.
pub async fn get<D: Document>(key: impl Into<String>) -> Result<Option<Stored<D>>, ReadError> {
    let key = key.into();
    if let Some(found) = overlay::find(D::COLLECTION, &key).await {
        return found.map(decode).transpose();
    }
    let found = group_read::get(D::COLLECTION, key).await?;
    overlay::note(D::COLLECTION, found.as_ref());
    found.map(decode).transpose()
}

/// Read several documents in one round trip, in the order of `keys`.
pub async fn get_many<D: Document>(keys: Vec<String>) -> Result<Vec<Option<Stored<D>>>, ReadError> {
    let mut found = Vec::with_capacity(keys.len());
    for key in &keys {
        found.push(overlay::find(D::COLLECTION, key).await);
    }
    let stored = keys.into_iter().zip(&found);
    let stored: Vec<String> = stored
        .filter_map(|(key, found)| found.is_none().then_some(key))
        .collect();
    let mut stored = match stored.is_empty() {
        true => Vec::new(),
        false => platform::get_many(D::COLLECTION.into(), stored).await?,
    }
    .into_iter();
    found
        .into_iter()
        .map(|found| {
            let document = found.unwrap_or_else(|| {
                let document = stored.next().flatten();
                overlay::note(D::COLLECTION, document.as_ref());
                document
            });
            document.map(decode).transpose()
        })
        .collect()
}

/// A part of a listing.
#[derive(Debug)]
pub struct Page<D> {
    /// The documents, in the order asked for.
    pub documents: Vec<Stored<D>>,
    /// Where the next page begins, if there may be one.
    pub next: Option<String>,
}

/// Which documents to list, and which part of them.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Which documents.
    pub selection: Selection,
    /// In which direction.
    pub order: Order,
    /// How many at most, from 1 to 500.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// Read a page of documents.
pub async fn list<D: Document>(listing: Listing) -> Result<Page<D>, ReadError> {
    overlay::before_listing(D::COLLECTION).await;
    let page = platform::list(documents::Query {
        collection: D::COLLECTION.into(),
        selection: listing.selection,
        order: listing.order,
        limit: listing.limit,
        cursor: listing.cursor,
    })
    .await?;
    Ok(Page {
        documents: page
            .documents
            .into_iter()
            .map(decode)
            .collect::<Result<_, _>>()?,
        next: page.next,
    })
}

/// What stores a document.
pub(crate) fn put<D: Document>(
    document: &D,
    expected: journal::Expectation,
) -> Result<journal::Put, serde_json::Error> {
    Ok(journal::Put {
        collection: D::COLLECTION.into(),
        key: document.key(),
        expected,
        value: serde_json::to_vec(document)?,
        entries: document.entries(),
        blobs: document.blobs(),
    })
}

fn decode<D: Document>(document: documents::Document) -> Result<Stored<D>, ReadError> {
    let value = serde_json::from_slice(&document.value).map_err(|error| {
        ReadError::Other(format!(
            "`{}` in `{}` does not read as its type: {error}",
            document.key,
            D::COLLECTION
        ))
    })?;
    Ok(Stored {
        value,
        version: document.version,
        created_at_ms: document.created_at_ms,
        updated_at_ms: document.updated_at_ms,
    })
}
