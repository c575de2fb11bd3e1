//! The relay: the one way to upstream. It asks at most once per resource and
//! lifetime, politely, and goes on with what it has when upstream is away.
//!
//! Bodies are kept in the key-value store, on shelves. What must change
//! atomically (the right to fill a shelf, the queue of an origin) is a document.

mod counts;
mod fetch;
mod freshness;
mod gate;
mod lock;
mod origin;
mod recent;
mod shelf;
pub(crate) mod status;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use emporium_sdk::{consumer::Verdict, outbound::Limits};
use emporium_sdk::{document::ReadError, journal::CommitError, unit::InvalidUnit};
use futures::lock::Mutex;
use spin_sdk::key_value::Store;
use url::Url;

pub(crate) use self::counts::flush;
use self::{
    counts::count,
    fetch::{Outcome, Validators, fetch},
    freshness::Freshness,
    gate::Gate,
    shelf::{Label, Place, SHELVES, Shelf},
};

/// The label of the store in `spin.toml`.
const STORE: &str = "relay";

/// How long a request waits for an upstream that failed before. Longer than its
/// circuit stays open, so that a short trouble costs events no attempt.
const PATIENCE: Duration = Duration::from_secs(10);

/// The statuses of what is kept: a body, that there is none, or why what is there
/// is of no use.
const FOUND: u16 = 200;
const ABSENT: u16 = 404;
const USELESS: u16 = 422;

/// How the relay treats upstream.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How long an answer is fresh that does not say so itself.
    pub(crate) lifetime: Duration,
    /// How long "there is no such thing" is believed that does not say so itself.
    pub(crate) negative_lifetime: Duration,
    /// How long an answer may stand in once it is no longer fresh.
    pub(crate) stale_for: Duration,
    /// Requests to one origin, by all instances together.
    pub(crate) per_second: u32,
    /// Of one request.
    pub(crate) limits: Limits,
}

/// Why there is no body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RelayError {
    /// Upstream has no such resource.
    #[error("{0}: there is none")]
    Absent(String),
    /// Upstream will not give it; asking again does not help.
    #[error("{0}")]
    Refused(String),
    /// Upstream or the cache is away. Trying again may help.
    #[error("{0}")]
    Unavailable(String),
}

/// The relay of this instance.
pub(crate) struct Relay {
    settings: Settings,
    /// One for each shelf: those who want the same wait here for each other,
    /// and find what the first one brought.
    lanes: Vec<Mutex<()>>,
    gates: std::sync::Mutex<HashMap<String, Arc<Gate>>>,
}

impl Relay {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            lanes: (0..SHELVES).map(|_| Mutex::new(())).collect(),
            gates: std::sync::Mutex::default(),
        }
    }

    /// The body of the resource at `url`.
    pub(crate) async fn get(&self, url: &Url) -> Result<Vec<u8>, RelayError> {
        let place = Place::of(url.as_str());
        if let Some(kept) = fresh(&read(place).await?, url) {
            return kept.map_err(|error| error.about(url));
        }
        let Some(lane) = self.lanes.get(place.number()) else {
            return Err(RelayError::Refused("there is no such shelf".into()));
        };
        let _turn = lane.lock().await;
        let held = lock::take(place).await?;
        let result = self.ask(place, url).await;
        held.release().await;
        result.map_err(|error| error.about(url))
    }

    /// Ask upstream, unless somebody did so meanwhile; keep the answer.
    async fn ask(&self, place: Place, url: &Url) -> Result<Vec<u8>, RelayError> {
        let mut shelf = read(place).await?;
        if let Some(kept) = fresh(&shelf, url) {
            return kept;
        }
        let kept = shelf.find(url.as_str()).cloned();
        let gate = self.gate(url);
        let patience = match usable(&shelf, url) {
            // Nobody has to wait for what is at hand.
            true => Duration::ZERO,
            false => PATIENCE,
        };
        if let Err(error) = gate.enter(patience).await {
            return stand_in(&shelf, url, error);
        }
        count(|counts| counts.sent += 1);
        let outcome = fetch(url, kept.as_ref(), self.settings.limits).await;
        match &outcome {
            Outcome::Failed(_, rest) => {
                let rest = rest.map(|rest| u64::try_from(rest.as_millis()).unwrap_or(u64::MAX));
                gate.failed(rest).await;
            }
            _ => gate.succeeded().await,
        }
        match outcome {
            Outcome::Found(body, validators, freshness) => {
                count(|counts| counts.miss += 1);
                self.keep(&mut shelf, url, FOUND, validators, freshness, &body);
                write(place, &shelf).await;
                Ok(body.to_vec())
            }
            Outcome::Unchanged(freshness) => {
                count(|counts| counts.revalidated += 1);
                let (fresh, usable) = self.lifetimes(freshness, self.settings.lifetime);
                shelf.renew(url.as_str(), fresh, usable);
                write(place, &shelf).await;
                body(&shelf, url)
            }
            Outcome::Absent(freshness) => {
                let none = Validators::default();
                self.keep(&mut shelf, url, ABSENT, none, freshness, b"");
                write(place, &shelf).await;
                Err(RelayError::Absent(String::new()))
            }
            Outcome::Useless(reason) => {
                let (none, usual) = (Validators::default(), Freshness::default());
                self.keep(&mut shelf, url, USELESS, none, usual, reason.as_bytes());
                write(place, &shelf).await;
                Err(RelayError::Refused(reason))
            }
            Outcome::Refused(reason) => {
                count(|counts| counts.failed += 1);
                Err(RelayError::Refused(reason))
            }
            Outcome::Failed(reason, _) => stand_in(&shelf, url, RelayError::Unavailable(reason)),
        }
    }

    fn keep(
        &self,
        shelf: &mut Shelf,
        url: &Url,
        status: u16,
        validators: Validators,
        freshness: Freshness,
        body: &[u8],
    ) {
        if freshness.no_store {
            shelf.forget(url.as_str());
            return;
        }
        let lifetime = match status {
            FOUND => self.settings.lifetime,
            _ => self.settings.negative_lifetime,
        };
        let (fresh_until_ms, usable_until_ms) = self.lifetimes(freshness, lifetime);
        let label = Label {
            status,
            etag: validators.etag,
            last_modified: validators.last_modified,
            stored_at_ms: now_ms(),
            fresh_until_ms,
            usable_until_ms,
        };
        let evicted = shelf.keep(url.as_str(), label, body).unwrap_or_default();
        count(|counts| counts.evicted += evicted as u64);
    }

    /// Until when an answer is fresh, and until when it may stand in.
    fn lifetimes(&self, freshness: Freshness, lifetime: Duration) -> (u64, u64) {
        let fresh_for = freshness.fresh_for.unwrap_or(lifetime.as_secs());
        let stale_for = match freshness.must_revalidate {
            true => 0,
            false => freshness
                .stale_if_error
                .unwrap_or(self.settings.stale_for.as_secs()),
        };
        let fresh = now_ms().saturating_add(fresh_for.saturating_mul(1_000));
        (fresh, fresh.saturating_add(stale_for.saturating_mul(1_000)))
    }

    fn gate(&self, url: &Url) -> Arc<Gate> {
        let origin = url.origin().ascii_serialization();
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gates
            .entry(origin.clone())
            .or_insert_with(|| Arc::new(Gate::new(&origin, self.settings.per_second)));
        Arc::clone(gate)
    }
}

/// What is kept, if it is fresh.
fn fresh(shelf: &Shelf, url: &Url) -> Option<Result<Vec<u8>, RelayError>> {
    let entry = shelf.find(url.as_str())?;
    if entry.fresh_until_ms <= now_ms() {
        return None;
    }
    let body = body(shelf, url).ok()?;
    let error = match entry.status {
        FOUND => {
            count(|counts| counts.hit += 1);
            return Some(Ok(body));
        }
        USELESS => RelayError::Refused(String::from_utf8_lossy(&body).into_owned()),
        _ => RelayError::Absent(String::new()),
    };
    count(|counts| counts.negative += 1);
    Some(Err(error))
}

/// What is kept though it is stale, in place of an error.
fn stand_in(shelf: &Shelf, url: &Url, error: RelayError) -> Result<Vec<u8>, RelayError> {
    if !usable(shelf, url) {
        count(|counts| counts.failed += 1);
        return Err(error);
    }
    let body = body(shelf, url)?;
    count(|counts| counts.stale += 1);
    Ok(body)
}

fn usable(shelf: &Shelf, url: &Url) -> bool {
    shelf
        .find(url.as_str())
        .is_some_and(|entry| entry.status == FOUND && entry.usable_until_ms > now_ms())
}

fn body(shelf: &Shelf, url: &Url) -> Result<Vec<u8>, RelayError> {
    shelf
        .body(url.as_str())
        .ok_or_else(|| RelayError::Unavailable("what was kept of it is damaged".into()))
}

async fn read(place: Place) -> Result<Shelf, RelayError> {
    let value = Store::open(STORE).await?.get(place.key()).await?;
    // What cannot be read is fetched again.
    Ok(value
        .and_then(|value| Shelf::decode(&value).ok())
        .unwrap_or_default())
}

/// Keep a shelf. A body that is at hand is worth more than its cache, so a failure
/// is only logged.
async fn write(place: Place, shelf: &Shelf) {
    let stored = async {
        Store::open(STORE)
            .await?
            .set(place.key(), shelf.encode())
            .await
    };
    if let Err(error) = stored.await {
        eprintln!("keeping `{}`: {error}", place.key());
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

impl RelayError {
    fn about(self, url: &Url) -> Self {
        match self {
            Self::Absent(_) => Self::Absent(url.to_string()),
            Self::Refused(reason) => Self::Refused(format!("{url}: {reason}")),
            Self::Unavailable(reason) => Self::Unavailable(format!("{url}: {reason}")),
        }
    }
}

impl From<RelayError> for Verdict {
    fn from(error: RelayError) -> Self {
        match error {
            RelayError::Absent(_) | RelayError::Refused(_) => Self::reject(error),
            RelayError::Unavailable(_) => Self::retry(error),
        }
    }
}

impl From<spin_sdk::key_value::Error> for RelayError {
    fn from(error: spin_sdk::key_value::Error) -> Self {
        Self::Unavailable(format!("the key-value store: {error}"))
    }
}

impl From<ReadError> for RelayError {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<CommitError> for RelayError {
    fn from(error: CommitError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<InvalidUnit> for RelayError {
    fn from(error: InvalidUnit) -> Self {
        Self::Unavailable(error.to_string())
    }
}
