//! Grouped reads: concurrent reads of one collection become one call.

use std::{cell::RefCell, collections::HashMap};

use crate::{
    documents::{Document, Error},
    group::Group,
    platform,
};

/// What `get-many` takes.
const LIMIT: usize = 500;

type Answer = Result<Option<Document>, Error>;
type Reads = Group<(&'static str, String), Answer>;

// An instance has one thread; each unit test has its own.
thread_local! {
    /// One for each collection that was read.
    static COLLECTIONS: RefCell<HashMap<&'static str, &'static Reads>> = RefCell::default();
}

/// Read a document, together with what others read of its collection.
pub(crate) async fn get(collection: &'static str, key: String) -> Answer {
    let reads = COLLECTIONS.with_borrow_mut(|collections| {
        // There are as many as types of documents: none need ever be freed.
        *collections
            .entry(collection)
            .or_insert_with(|| Box::leak(Box::new(Group::new(LIMIT, |keys| Box::pin(read(keys))))))
    });
    reads.ask((collection, key)).await.unwrap_or_else(|| {
        let cause = "the task that read it was cut off";
        Err(Error::Unavailable(cause.into()))
    })
}

async fn read(queries: Vec<(&'static str, String)>) -> Vec<Answer> {
    let Some(&(collection, _)) = queries.first() else {
        return Vec::new();
    };
    if queries.len() > 1
        && let Some(answers) = read_many(collection, &queries).await
    {
        return answers;
    }
    let mut answers = Vec::with_capacity(queries.len());
    for (_, key) in queries {
        answers.push(platform::get(collection.into(), key).await);
    }
    answers
}

/// `None` if each must be read by itself: one of the keys is not well-formed.
async fn read_many(collection: &str, queries: &[(&str, String)]) -> Option<Vec<Answer>> {
    let mut keys: Vec<String> = Vec::new();
    let mut indices = HashMap::new();
    let indices: Vec<usize> = queries
        .iter()
        .map(|(_, key)| {
            *indices.entry(key).or_insert_with(|| {
                keys.push(key.clone());
                keys.len() - 1
            })
        })
        .collect();
    match platform::get_many(collection.into(), keys).await {
        Ok(found) => Some(
            indices
                .into_iter()
                .map(|index| Ok(found.get(index).cloned().flatten()))
                .collect(),
        ),
        Err(Error::InvalidQuery(_)) => None,
        Err(error) => Some(vec![Err(error); queries.len()]),
    }
}
