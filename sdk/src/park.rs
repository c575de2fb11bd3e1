//! Parked writes: units that could not be committed, kept until they can be.
//!
//! A unit that is parked has an id. It is committed at most once (`repeated`), so
//! it does not matter whether the attempt before it was parked arrived after
//! all, nor how often it is tried again.

mod replay;
mod unreadable;

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use futures::{
    channel::oneshot,
    future::{Either, select},
};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use replay::{Replayed, replay};
use unreadable::Unreadable;

use crate::{
    group_commit,
    journal::{self, CommitError},
    platform::Store,
    problem::Problem,
    variables::Variables,
};

/// The label of the key-value store that they are kept in.
const STORE: &str = "parked";

/// How many are kept: Spin promises room for 1,024.
const LIMIT: usize = 1_000;

/// How long a commit may take, unless the variable `write_timeout` says so.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// What became of a unit.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is committed: the new version of each document, in the order written.
    Committed(Vec<u64>),
    /// It will be committed when the database is back.
    Parked(Parked),
}

/// The answer to a request whose write was parked: 202, and where to ask for it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Parked {
    /// The id of the unit.
    pub id: String,
    /// `parked`.
    pub status: &'static str,
}

impl IntoResponse for Parked {
    fn into_response(self) -> Response {
        let location = HeaderValue::try_from(format!("/platform/parked/{}", self.id));
        let mut response = (StatusCode::ACCEPTED, Json(self)).into_response();
        if let Ok(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// A unit that waits, or was refused for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ParkedUnit {
    /// Its id, a UUIDv7: the ids are in the order of parking.
    pub id: String,
    /// The service that decided it.
    pub service: String,
    /// Milliseconds since the Unix epoch.
    pub parked_at_ms: u64,
    /// Why it was refused, if it was: it is tried again if somebody says so.
    pub rejected: Option<String>,
    /// What became of the attempts that failed for a reason that may be its own.
    #[serde(default)]
    pub failures: Failures,
    /// What is to be committed.
    pub unit: journal::Unit,
}

/// The attempts of a unit that failed for a reason that may be its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How many there were.
    pub count: u32,
    /// The reason of the latest.
    pub reason: String,
    /// When it is tried again, in milliseconds since the Unix epoch.
    pub retry_at_ms: u64,
}

/// Why the parked units cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ParkError {
    /// There are too many already.
    #[error("{LIMIT} writes are parked, and no more are taken")]
    Full,
    /// The key-value store failed.
    #[error("the key-value store `{STORE}`: {0}")]
    Store(#[from] spin_sdk::key_value::Error),
    /// A unit does not serialise.
    #[error("a parked write does not serialise: {0}")]
    Unserialisable(#[from] rmp_serde::encode::Error),
}

impl From<ParkError> for Problem {
    fn from(error: ParkError) -> Self {
        match error {
            ParkError::Full | ParkError::Store(_) => Self::unavailable(error),
            ParkError::Unserialisable(_) => Self::internal(error),
        }
    }
}

/// Commit a unit, or park it.
pub(crate) async fn commit(service: &str, mut unit: journal::Unit) -> Result<Outcome, CommitError> {
    let id = Uuid::now_v7().to_string();
    unit.id = Some(id.clone());
    let cause = match commit_in_time(unit.clone(), write_timeout().await).await {
        Some(Err(CommitError::Unavailable(cause))) => cause,
        Some(result) => return result.map(Outcome::Committed),
        None => "it took too long".into(),
    };
    eprintln!("{service} parks a write: {cause} unit={id}");
    let parked = ParkedUnit {
        id: id.clone(),
        service: service.into(),
        parked_at_ms: now_ms(),
        rejected: None,
        failures: Failures::default(),
        unit,
    };
    match park(&parked).await {
        Ok(()) => Ok(Outcome::Parked(Parked {
            id,
            status: "parked",
        })),
        Err(error) => Err(CommitError::Unavailable(format!("{cause}; {error}"))),
    }
}

/// Commit a unit; `None` if that takes too long. It is not called off then: an
/// adapter in the midst of a statement could not be. That of SQLite holds the
/// whole instance while it waits for a lock, so that there the lock's own time is
/// what ends the wait.
async fn commit_in_time(
    unit: journal::Unit,
    timeout: Duration,
) -> Option<Result<Vec<u64>, CommitError>> {
    let (done, result) = oneshot::channel();
    spin_sdk::wit_bindgen::spawn(async move {
        // Nobody waits any more if it took too long.
        let _ = done.send(group_commit::commit(unit).await);
    });
    let timer = Box::pin(spin_sdk::time::sleep(timeout));
    match select(result, timer).await {
        Either::Left((Ok(result), _)) => Some(result),
        Either::Left((Err(oneshot::Canceled), _)) => None,
        Either::Right(((), _)) => None,
    }
}

async fn park(parked: &ParkedUnit) -> Result<(), ParkError> {
    let store = Store::open(STORE).await?;
    if store.get_keys().await.collect().await?.len() >= LIMIT {
        return Err(ParkError::Full);
    }
    put(&store, parked).await
}

async fn put(store: &Store, parked: &ParkedUnit) -> Result<(), ParkError> {
    let bytes = rmp_serde::to_vec_named(parked)?;
    Ok(store.set(&parked.id, bytes).await?)
}

/// Every parked unit, the one parked first before others. One that cannot be read is
/// shown as rejected for that reason, and without content.
pub async fn list() -> Result<Vec<ParkedUnit>, ParkError> {
    let store = Store::open(STORE).await?;
    let mut units = Vec::new();
    for id in ids(&store).await? {
        units.extend(read(&store, &id).await?.map(shown));
    }
    Ok(units)
}

/// One parked unit, as [`list`] shows it.
pub async fn get(id: &str) -> Result<Option<ParkedUnit>, ParkError> {
    let read = read(&Store::open(STORE).await?, id).await?;
    Ok(read.map(shown))
}

/// Try a unit again that was refused, with the next replay. Returns whether there
/// is such a unit.
pub async fn retry(id: &str) -> Result<bool, ParkError> {
    let store = Store::open(STORE).await?;
    let mut parked = match read(&store, id).await? {
        None => return Ok(false),
        // Every replay tries to read it: to write it would lose what is there.
        Some(Err(_)) => return Ok(true),
        Some(Ok(parked)) => parked,
    };
    parked.rejected = None;
    parked.failures = Failures::default();
    put(&store, &parked).await?;
    Ok(true)
}

/// Forget a parked unit. One that is not there is forgotten already.
pub async fn remove(id: &str) -> Result<(), ParkError> {
    forget(&Store::open(STORE).await?, id).await
}

async fn forget(store: &Store, id: &str) -> Result<(), ParkError> {
    store.delete(id).await?;
    Ok(store.delete(&unreadable::note(id)).await?)
}

async fn ids(store: &Store) -> Result<Vec<String>, ParkError> {
    let mut ids = store.get_keys().await.collect().await?;
    // `operations` keeps notes of its own there.
    ids.retain(|id| is_id(id));
    ids.sort_unstable();
    Ok(ids)
}

fn is_id(key: &str) -> bool {
    Uuid::parse_str(key).is_ok()
}

/// Read what is stored under an id, if that is possible.
async fn read(
    store: &Store,
    id: &str,
) -> Result<Option<Result<ParkedUnit, Unreadable>>, ParkError> {
    if !is_id(id) {
        return Ok(None);
    }
    let bytes = store.get(id).await?;
    Ok(bytes.map(|bytes| {
        rmp_serde::from_slice(&bytes).map_err(|error| Unreadable {
            id: id.into(),
            error,
        })
    }))
}

fn shown(read: Result<ParkedUnit, Unreadable>) -> ParkedUnit {
    read.unwrap_or_else(Into::into)
}

async fn write_timeout() -> Duration {
    static TIMEOUT: OnceLock<Duration> = OnceLock::new();
    if let Some(timeout) = TIMEOUT.get() {
        return *timeout;
    }
    let mut variables = Variables::new();
    let read: Option<humantime::Duration> = variables.get("write_timeout").await;
    let read = variables.finish(read).map_or_else(
        |error| {
            eprintln!("{error}; a write may take {WRITE_TIMEOUT:?}");
            WRITE_TIMEOUT
        },
        Into::into,
    );
    *TIMEOUT.get_or_init(|| read)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_unit_survives_the_round_trip() {
        let parked = ParkedUnit {
            id: "u1".into(),
            service: "trial".into(),
            parked_at_ms: 7,
            rejected: None,
            failures: Failures::default(),
            unit: journal::Unit {
                id: Some("u1".into()),
                writes: vec![journal::Write::Remove(journal::Removal {
                    collection: "effects".into(),
                    key: "a".into(),
                    expected: journal::Expectation::Version(3),
                })],
                events: Vec::new(),
                settles: Vec::new(),
            },
        };
        let bytes = rmp_serde::to_vec_named(&parked).unwrap_or_default();
        let read: Option<ParkedUnit> = rmp_serde::from_slice(&bytes).ok();
        assert_eq!(format!("{read:?}"), format!("{:?}", Some(parked)));
    }

    #[test]
    fn what_an_older_release_parked_is_read() {
        #[derive(Serialize)]
        struct Older {
            id: &'static str,
            service: &'static str,
            parked_at_ms: u64,
            rejected: Option<String>,
            unit: journal::Unit,
        }
        let older = Older {
            id: "u1",
            service: "trial",
            parked_at_ms: 7,
            rejected: None,
            unit: journal::Unit {
                id: None,
                writes: Vec::new(),
                events: Vec::new(),
                settles: Vec::new(),
            },
        };
        let bytes = rmp_serde::to_vec_named(&older).unwrap_or_default();
        let read: Option<ParkedUnit> = rmp_serde::from_slice(&bytes).ok();
        assert_eq!(read.map(|read| read.failures), Some(Failures::default()));
    }

    #[test]
    fn notes_of_others_are_no_parked_units() {
        assert!(is_id("0192d1c0-7a33-7cc4-8a3e-6f6f3a0b1c2d"));
        assert!(!is_id("sweep"));
    }

    #[test]
    fn the_answer_says_where_to_ask() {
        let parked = Parked {
            id: "u1".into(),
            status: "parked",
        };
        let response = parked.into_response();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        let location = response.headers().get(header::LOCATION);
        assert_eq!(
            location.map(HeaderValue::as_bytes),
            Some(b"/platform/parked/u1".as_slice())
        );
    }
}
