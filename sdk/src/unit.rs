//! Units of work: everything one step decides, committed whole or not at all.

use std::time::Duration;

use crate::{
    consumer::overlay,
    deliveries::Lease,
    document::{self, Document, Stored},
    event::{self, InvalidEnvelope, Message},
    group_commit,
    journal::{self, CommitError, Conflict, Expectation},
    name::{InvalidName, check_name},
    park::{self, Outcome},
    platform,
    problem::Problem,
    trace::Trace,
};

/// How long a step is decided anew when somebody else was faster: less than a
/// person waits, and than the deadline of a request.
const CONFLICT_PATIENCE: Duration = Duration::from_secs(10);

/// The longest wait before it is decided anew.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

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

/// Why a unit could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUnit {
    /// The key of a document or of an event is not well-formed.
    #[error(transparent)]
    Name(#[from] InvalidName),
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
        self.add(event::wrap(self.source, message, &self.trace, None)?)
    }

    /// Publish an event that is delivered no earlier than at `not_before_ms`,
    /// in milliseconds since the Unix epoch.
    pub fn publish_at<M: Message>(
        &mut self,
        message: &M,
        not_before_ms: u64,
    ) -> Result<(), InvalidUnit> {
        self.add(event::wrap(
            self.source,
            message,
            &self.trace,
            Some(not_before_ms),
        )?)
    }

    /// Commit it. Returns the new version of each document, in the order written.
    ///
    /// Concurrent commits of one instance go to the database together.
    pub async fn commit(self) -> Result<Vec<u64>, CommitError> {
        overlay::before_commit().await;
        group_commit::commit(self.inner).await
    }

    /// Commit several in one round trip, each by itself: those that are refused do
    /// not keep the others from being committed.
    pub async fn commit_all(units: Vec<Self>) -> Vec<Result<Vec<u64>, CommitError>> {
        overlay::before_commit().await;
        let units = units.into_iter().map(|unit| unit.inner).collect();
        let results = platform::commit(units).await.into_iter();
        results
            .map(|result| result.map(|receipt| receipt.versions))
            .collect()
    }

    /// Commit it; if the database is away, or takes longer than the variable
    /// `write_timeout` says, park it: it is committed when the database is back.
    ///
    /// The component needs the key-value store `parked`.
    pub async fn commit_or_park(self) -> Result<Outcome, CommitError> {
        overlay::before_commit().await;
        park::commit(self.source, self.inner).await
    }

    /// The unit as the contract has it.
    pub(crate) fn into_wit(self) -> journal::Unit {
        self.inner
    }

    /// The unit as the contract has it, settling `lease`.
    pub(crate) fn settling(mut self, lease: Lease) -> journal::Unit {
        self.inner.settles = vec![journal::Settlement {
            lease,
            followers: Vec::new(),
        }];
        self.inner
    }

    fn add(&mut self, event: journal::Event) -> Result<(), InvalidUnit> {
        if let Some(subject) = &event.subject {
            check_name("ordering key", subject)?;
        }
        self.inner.events.push(event);
        Ok(())
    }

    fn put<D: Document>(&mut self, document: &D, expected: Expectation) -> Result<(), InvalidUnit> {
        let put = document::put(document, expected)?;
        check_name("document key", &put.key)?;
        self.inner.writes.push(journal::Write::Put(put));
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
    let begun = platform::now();
    let mut latest: Option<Conflict> = None;
    let mut conflicts = 0;
    loop {
        let (unit, answer) = decide().await?;
        let conflict = match unit.commit().await {
            Ok(_) => return Ok(answer),
            Err(CommitError::Conflict(conflict)) => conflict,
            Err(error) => return Err(error.into()),
        };
        // The document was read again since, and is what it was: no other writer
        // is to blame.
        let is_same = latest.is_some_and(|latest| is_same(&latest, &conflict));
        if is_same || platform::now().saturating_sub(begun) > CONFLICT_PATIENCE {
            return Err(CommitError::Conflict(conflict).into());
        }
        latest = Some(conflict);
        conflicts += 1;
        platform::sleep(conflict_pause(conflicts, platform::random())).await;
    }
}

/// Whether two conflicts found the same version of the same document.
pub(crate) fn is_same(one: &Conflict, other: &Conflict) -> bool {
    (&one.collection, &one.key, one.found) == (&other.collection, &other.key, other.found)
}

/// How long to wait after so many conflicts in a row: a random time, so that those
/// who compete do not meet again.
pub(crate) fn conflict_pause(conflicts: u32, random: u64) -> Duration {
    let most = Duration::from_millis(2 << conflicts.min(5)).min(LONGEST_PAUSE);
    most.mul_f64((random % 1024) as f64 / 1024.0)
}

impl From<InvalidUnit> for Problem {
    fn from(error: InvalidUnit) -> Self {
        match error {
            InvalidUnit::Name(error) => Self::bad_request("invalid-unit", error.to_string()),
            InvalidUnit::Document(error) => Self::internal(error),
            InvalidUnit::Event(error) => Self::internal(error),
        }
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
