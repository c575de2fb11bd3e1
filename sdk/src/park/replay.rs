//! Committing what is parked, a bounded amount at a time.
//!
//! Which failure is whose:
//!
//! - The database is `unavailable`: nothing is wrong with the unit. It waits, and
//!   so does everything behind it.
//! - The unit is refused by name (`conflict`, `too-large`, `no-such-blob`,
//!   `invalid-unit`, `lease-lost`): it is rejected at once.
//! - `other` may be either. The unit is tried again after a second, and after four
//!   times as long each further time; after `TRIES` it is rejected with the reason.
//!   Meanwhile what is behind it goes on, except for what writes the same document
//!   or publishes under the same ordering key: that waits, so that what is
//!   committed is committed in the order of parking.
//!
//! A rejected unit is kept for a person to decide about, and holds up nothing. So
//! is one that cannot be read.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::{Failures, ParkError, ParkedUnit, STORE, forget, ids, now_ms, put, read};
use crate::{
    journal::{CommitError, Unit, Write},
    platform::{self, Store},
};

/// How long one replay may take to commit. What is left then is for the next.
const BUDGET: Duration = Duration::from_millis(250);

/// How often a unit is tried that fails for an unknown reason: for nearly six
/// minutes.
const TRIES: u32 = 6;

/// What a replay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Committed now, or found to be committed already.
    pub committed: u64,
    /// Refused for good.
    pub rejected: u64,
    /// Left for later.
    pub waiting: u64,
}

/// What becomes of a unit.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Committed,
    Rejected(String),
    /// It may be its own fault: others go on.
    Later(Failures),
    /// The database is away: nobody goes on.
    Away,
}

/// Commit what is parked, in the order of parking, until the database is away again
/// or the time of a replay is used up.
pub async fn replay() -> Result<Replayed, ParkError> {
    let store = Store::open(STORE).await?;
    let mut replayed = Replayed::default();
    let mut held = Held::default();
    let mut spent = Duration::ZERO;
    let mut is_over = false;
    for id in ids(&store).await? {
        if is_over {
            replayed.waiting += 1;
            continue;
        }
        let mut parked = match read(&store, &id).await? {
            Some(Ok(parked)) => parked,
            Some(Err(unreadable)) => {
                unreadable.log(&store).await?;
                continue;
            }
            None => continue,
        };
        if parked.rejected.is_some() {
            continue;
        }
        if is_put_off(&parked.failures, now_ms()) || held.has_any_of(&parked.unit) {
            held.hold(&parked.unit);
            replayed.waiting += 1;
            continue;
        }
        // One after the other: what comes later must not be there sooner.
        let begun = Instant::now();
        let results = platform::commit(vec![parked.unit.clone()]).await;
        spent += begun.elapsed();
        is_over = spent > BUDGET;
        let unanswered = || Err(CommitError::Other("a unit was not answered".into()));
        let result = results.into_iter().next().unwrap_or_else(unanswered);
        match fate(&parked.failures, result.err(), now_ms()) {
            Fate::Committed => {
                forget(&store, &id).await?;
                replayed.committed += 1;
            }
            Fate::Rejected(reason) => {
                eprintln!("a parked write is refused: {reason} unit={id}");
                parked.rejected = Some(reason);
                put(&store, &parked).await?;
                replayed.rejected += 1;
            }
            Fate::Later(failures) => {
                eprintln!("a parked write failed: {} unit={id}", failures.reason);
                held.hold(&parked.unit);
                keep(&store, parked, failures).await?;
                replayed.waiting += 1;
            }
            Fate::Away => {
                eprintln!("parked writes wait for the database unit={id}");
                is_over = true;
                replayed.waiting += 1;
            }
        }
    }
    Ok(replayed)
}

/// Whether it is not yet time to try again. A clock that was set back does not put
/// it off for longer than the longest wait.
fn is_put_off(failures: &Failures, now_ms: u64) -> bool {
    let left = failures.retry_at_ms.saturating_sub(now_ms);
    left > 0 && left <= wait_ms(TRIES)
}

/// How long to wait after so many failures.
fn wait_ms(count: u32) -> u64 {
    1_000 << (2 * (count - 1))
}

async fn keep(store: &Store, mut parked: ParkedUnit, failures: Failures) -> Result<(), ParkError> {
    parked.failures = failures;
    put(store, &parked).await
}

fn fate(before: &Failures, error: Option<CommitError>, now_ms: u64) -> Fate {
    match error {
        None | Some(CommitError::Repeated) => Fate::Committed,
        Some(CommitError::Unavailable(_)) => Fate::Away,
        Some(CommitError::Other(reason)) => {
            let count = before.count + 1;
            if count >= TRIES {
                return Fate::Rejected(format!("{reason} ({count} attempts)"));
            }
            Fate::Later(Failures {
                count,
                reason,
                retry_at_ms: now_ms + wait_ms(count),
            })
        }
        Some(
            error @ (CommitError::Conflict(_)
            | CommitError::LeaseLost
            | CommitError::TooLarge(_)
            | CommitError::NoSuchBlob(_)
            | CommitError::InvalidUnit(_)),
        ) => Fate::Rejected(error.to_string()),
    }
}

/// The documents and ordering keys of units that wait: what touches one of them
/// waits too.
#[derive(Default)]
struct Held(HashSet<Touched>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Touched {
    Document { collection: String, key: String },
    OrderingKey { topic: String, subject: String },
}

impl Held {
    fn has_any_of(&self, unit: &Unit) -> bool {
        !self.0.is_empty() && touched(unit).any(|touched| self.0.contains(&touched))
    }

    fn hold(&mut self, unit: &Unit) {
        self.0.extend(touched(unit));
    }
}

fn touched(unit: &Unit) -> impl Iterator<Item = Touched> {
    let documents = unit.writes.iter().map(|write| {
        let (collection, key) = match write {
            Write::Put(put) => (&put.collection, &put.key),
            Write::Remove(removal) => (&removal.collection, &removal.key),
        };
        Touched::Document {
            collection: collection.clone(),
            key: key.clone(),
        }
    });
    let keys = unit.events.iter().filter_map(|event| {
        Some(Touched::OrderingKey {
            topic: event.topic.clone(),
            subject: event.subject.clone()?,
        })
    });
    documents.chain(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal;

    fn other() -> Option<CommitError> {
        Some(CommitError::Other("odd".into()))
    }

    #[test]
    fn a_failure_is_blamed_on_the_unit_only_where_it_may_be_its_own() {
        let fresh = Failures::default();
        assert_eq!(fate(&fresh, None, 0), Fate::Committed);
        let repeated = Some(CommitError::Repeated);
        assert_eq!(fate(&fresh, repeated, 0), Fate::Committed);
        let away = Some(CommitError::Unavailable("away".into()));
        assert_eq!(fate(&fresh, away, 0), Fate::Away);
        let invalid = Some(CommitError::InvalidUnit("never".into()));
        assert!(matches!(fate(&fresh, invalid, 0), Fate::Rejected(_)));
    }

    #[test]
    fn an_unknown_failure_is_tried_again_later_and_later_and_then_rejected() {
        let mut failures = Failures::default();
        let mut waits = Vec::new();
        let rejected = loop {
            match fate(&failures, other(), 5) {
                Fate::Later(later) => {
                    waits.push(later.retry_at_ms - 5);
                    failures = later;
                }
                fate => break fate,
            }
        };
        assert_eq!(waits, [1_000, 4_000, 16_000, 64_000, 256_000]);
        assert_eq!(rejected, Fate::Rejected("odd (6 attempts)".into()));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_retries() {
        let failures = |retry_at_ms| Failures {
            count: 1,
            reason: String::new(),
            retry_at_ms,
        };
        assert!(!is_put_off(&failures(0), 1_000));
        assert!(!is_put_off(&failures(1_000), 1_000));
        assert!(is_put_off(&failures(2_000), 1_000));
        assert!(!is_put_off(&failures(1_000_000_000), 1_000));
    }

    fn unit(documents: &[&str], keys: &[&str]) -> Unit {
        Unit {
            id: None,
            writes: documents
                .iter()
                .map(|key| {
                    Write::Remove(journal::Removal {
                        collection: "notes".into(),
                        key: (*key).into(),
                        expected: journal::Expectation::Any,
                    })
                })
                .collect(),
            events: keys
                .iter()
                .map(|key| journal::Event {
                    id: "e".into(),
                    topic: "t".into(),
                    kind: "K".into(),
                    subject: (!key.is_empty()).then(|| (*key).into()),
                    not_before_ms: None,
                    traceparent: None,
                    envelope: Vec::new(),
                })
                .collect(),
            settles: Vec::new(),
        }
    }

    #[test]
    fn only_what_touches_the_same_waits_behind_a_unit() {
        let mut held = Held::default();
        assert!(!held.has_any_of(&unit(&["a"], &["k"])));
        held.hold(&unit(&["a"], &["k", ""]));
        assert!(held.has_any_of(&unit(&["b", "a"], &[])));
        assert!(held.has_any_of(&unit(&[], &["k"])));
        assert!(!held.has_any_of(&unit(&["k", "b"], &["", "a"])));
    }
}
