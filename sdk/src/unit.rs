//! Units of work: everything one step decides, committed whole or not at all.

use std::time::Duration;

use crate::{
    document::{self, Document, Stored},
    event::{self, InvalidEnvelope, Message},
    journal::{self, CommitError, Expectation},
    park::{self, Outcome},
    problem::Problem,
    trace::Trace,
};

/// How often a step is decided anew when somebody else was faster.
const CONFLICT_ATTEMPTS: usize = 8;

/// What a step decides: documents to write and events to publish.
///
/// Built up by a handler, then committed by it ([`Unit::commit`]) or by the
/// consumer loop, together with the settlement of the event being handled.
#[derive(Debug)]
pub struct Unit {
    source: &'static str,
    trace: Trace,
    inner: journal::Unit,
}

/// Why a unit could not be put together: a value does not serialise.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUnit {
    /// A document does not serialise.
    #[error("a document does not serialise")]
    Document(#[from] serde_json::Error),
    /// An event does not serialise.
    #[error(transparent)]
    Event(#[from] InvalidEnvelope),
}

impl Unit {
    /// Begin a unit of the service `source`, caused by `trace`.
    pub fn new(source: &'static str, trace: Trace) -> Self {
        Self {
            source,
            trace,
            inner: journal::Unit {
                id: None,
                writes: Vec::new(),
                events: Vec::new(),
                settles: Vec::new(),
            },
        }
    }

    /// Store a document that must not exist yet.
    pub fn create<D: Document>(&mut self, document: &D) -> Result<(), InvalidUnit> {
        self.put(document, Expectation::Absent)
    }

    /// Store the next version of a document that was read.
    pub fn update<D: Document>(&mut self, document: &Stored<D>) -> Result<(), InvalidUnit> {
        self.put(&document.value, Expectation::Version(document.version))
    }

    /// Store a document whatever is there.
    pub fn overwrite<D: Document>(&mut self, document: &D) -> Result<(), InvalidUnit> {
        self.put(document, Expectation::Any)
    }

    /// Remove a document that was read.
    pub fn remove<D: Document>(&mut self, document: &Stored<D>) {
        self.inner
            .writes
            .push(journal::Write::Remove(journal::Removal {
                collection: D::COLLECTION.into(),
                key: document.value.key(),
                expected: Expectation::Version(document.version),
            }));
    }

    /// Publish an event.
    pub fn publish<M: Message>(&mut self, message: &M) -> Result<(), InvalidUnit> {
        let event = event::wrap(self.source, message, &self.trace, None)?;
        self.inner.events.push(event);
        Ok(())
    }

    /// Publish an event that is delivered no earlier than at `not_before_ms`,
    /// in milliseconds since the Unix epoch.
    pub fn publish_at<M: Message>(
        &mut self,
        message: &M,
        not_before_ms: u64,
    ) -> Result<(), InvalidUnit> {
        let event = event::wrap(self.source, message, &self.trace, Some(not_before_ms))?;
        self.inner.events.push(event);
        Ok(())
    }

    /// Commit it. Returns the new version of each document, in the order written.
    pub async fn commit(self) -> Result<Vec<u64>, CommitError> {
        let mut results = Self::commit_all(vec![self]).await;
        results
            .pop()
            .unwrap_or_else(|| Err(CommitError::Other("a unit was not answered".into())))
    }

    /// Commit several in one round trip, each by itself: those that are refused do
    /// not keep the others from being committed.
    pub async fn commit_all(units: Vec<Self>) -> Vec<Result<Vec<u64>, CommitError>> {
        let units = units.into_iter().map(|unit| unit.inner).collect();
        let results = journal::commit(units).await.into_iter();
        results
            .map(|result| result.map(|receipt| receipt.versions))
            .collect()
    }

    /// Commit it; if the database is away, or takes longer than the variable
    /// `write_timeout` says, park it: it is committed when the database is back.
    ///
    /// The component needs the key-value store `parked`.
    pub async fn commit_or_park(self) -> Result<Outcome, CommitError> {
        park::commit(self.source, self.inner).await
    }

    /// The unit as the contract has it, settling `lease`.
    pub(crate) fn settling(mut self, lease: crate::deliveries::Lease) -> journal::Unit {
        self.inner.settles = vec![journal::Settlement {
            lease,
            followers: Vec::new(),
        }];
        self.inner
    }

    fn put<D: Document>(&mut self, document: &D, expected: Expectation) -> Result<(), InvalidUnit> {
        self.inner.writes.push(document::put(document, expected)?);
        Ok(())
    }
}

/// Decide and commit until no other writer comes between.
///
/// `decide` reads what it needs and returns the unit and the answer that goes
/// with it; it is called again after a conflict, so it must have no other effect.
// Not `impl AsyncFn`: the future of a route must be `Send` for axum, which the
// compiler cannot yet see through an async closure.
pub async fn commit_decided<T, E, F>(decide: impl Fn() -> F) -> Result<T, E>
where
    E: From<CommitError>,
    F: Future<Output = Result<(Unit, T), E>>,
{
    let mut attempt = 1;
    loop {
        let (unit, answer) = decide().await?;
        match unit.commit().await {
            Ok(_) => return Ok(answer),
            Err(CommitError::Conflict(_)) if attempt < CONFLICT_ATTEMPTS => {
                attempt += 1;
                back_off(attempt).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Let the faster writer finish: a few milliseconds, more with each attempt.
pub(crate) async fn back_off(attempt: usize) {
    let step = Duration::from_millis(2);
    spin_sdk::time::sleep(step * u32::try_from(attempt).unwrap_or(u32::MAX)).await;
}

impl From<InvalidUnit> for Problem {
    fn from(error: InvalidUnit) -> Self {
        Self::internal(error)
    }
}

// `wit-bindgen` does this only for types that stand directly in a `result`.
impl std::error::Error for CommitError {}

impl std::fmt::Display for CommitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Conflict(conflict) => write!(
                f,
                "`{}` in `{}` is at {:?}",
                conflict.key, conflict.collection, conflict.found
            ),
            Self::LeaseLost => f.write_str("the delivery was handed to somebody else"),
            Self::Repeated => f.write_str("a unit with this id was committed before"),
            Self::TooLarge(excess) => write!(
                f,
                "{} has {} of at most {}",
                excess.what, excess.size, excess.limit
            ),
            Self::NoSuchBlob(digest) => write!(f, "no blob {digest}"),
            Self::InvalidUnit(reason) | Self::Unavailable(reason) | Self::Other(reason) => {
                f.write_str(reason)
            }
        }
    }
}
