//! Parked writes that cannot be read: they are damaged, or a newer release parked
//! them. They are kept and listed, and hold up nothing.
//!
//! What they write is not known, so what comes behind them does not wait: it may
//! write the same document.

use uuid::Uuid;

use super::{Failures, ParkError, ParkedUnit};
use crate::{journal::Unit, platform::Store};

/// A parked write that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) id: String,
    pub(super) error: rmp_serde::decode::Error,
}

impl Unreadable {
    /// Log it, once. A note beside it says so: the next replay may run in another
    /// instance.
    pub(super) async fn log(&self, store: &Store) -> Result<(), ParkError> {
        let (note, id) = (note(&self.id), &self.id);
        if !store.exists(&note).await? {
            eprintln!("a parked write is unreadable: {} unit={id}", self.error);
            store.set(&note, []).await?;
        }
        Ok(())
    }
}

impl From<Unreadable> for ParkedUnit {
    /// A unit that stands for it: rejected, and without content.
    fn from(Unreadable { id, error }: Unreadable) -> Self {
        Self {
            service: "unknown".into(),
            parked_at_ms: parked_at_ms(&id),
            rejected: Some(format!("unreadable: {error}")),
            failures: Failures::default(),
            unit: Unit {
                id: Some(id.clone()),
                writes: Vec::new(),
                events: Vec::new(),
                settles: Vec::new(),
            },
            id,
        }
    }
}

/// The key of the note that a parked write was logged as unreadable.
pub(super) fn note(id: &str) -> String {
    format!("unreadable/{id}")
}

/// When a write was parked, as its id says.
fn parked_at_ms(id: &str) -> u64 {
    let timestamp = Uuid::parse_str(id).ok().and_then(|id| id.get_timestamp());
    timestamp.map_or(0, |timestamp| {
        let (seconds, nanoseconds) = timestamp.to_unix();
        seconds * 1_000 + u64::from(nanoseconds) / 1_000_000
    })
}

#[cfg(test)]
mod tests {
    use crate::{
        journal::{Expectation, Put, Unit, Write},
        park::{Failures, ParkedUnit, STORE, get, list, put, remove, replay, retry},
        platform::{
            Store,
            fake::{advance_until_done, with},
        },
    };

    /// Parked at 1,729,000,000,000 ms.
    const DAMAGED: &str = "0192906e-4a00-7cc4-8a3e-6f6f3a0b1c2d";
    const BEHIND: &str = "0192906e-4a01-7cc4-8a3e-6f6f3a0b1c2d";
    const BYTES: &[u8] = b"no parked write";

    /// Run `work` where two writes are parked, the first of which is damaged.
    fn with_a_damaged_one<T>(work: impl Future<Output = T>) -> T {
        let put_note = Write::Put(Put {
            collection: "notes".into(),
            key: "a".into(),
            value: b"{}".to_vec(),
            expected: Expectation::Any,
            entries: Vec::new(),
            blobs: Vec::new(),
        });
        let behind = ParkedUnit {
            id: BEHIND.into(),
            service: "trial".into(),
            parked_at_ms: 7,
            rejected: None,
            failures: Failures::default(),
            unit: Unit {
                id: Some(BEHIND.into()),
                writes: vec![put_note],
                events: Vec::new(),
                settles: Vec::new(),
            },
        };
        advance_until_done(async {
            let store = Store::open(STORE).await.expect("the store");
            store.set(DAMAGED, BYTES).await.expect("stored");
            put(&store, &behind).await.expect("parked");
            work.await
        })
    }

    #[test]
    fn an_unreadable_write_holds_up_nothing_and_is_kept() {
        let replayed = with_a_damaged_one(async { [replay().await, replay().await] });
        let committed = replayed.map(|replayed| replayed.expect("a replay").committed);
        assert_eq!(committed, [1, 0]);
        with(|fake| {
            let name = ("notes".into(), "a".into());
            assert!(fake.documents.contains_key(&name));
            assert_eq!(fake.stored.get(DAMAGED).map(Vec::as_slice), Some(BYTES));
        });
    }

    #[test]
    fn an_unreadable_write_is_listed_as_such() {
        let listed = with_a_damaged_one(list()).expect("a list");
        let [damaged, behind] = &listed[..] else {
            panic!("two are parked: {listed:?}");
        };
        assert_eq!((damaged.id.as_str(), behind.id.as_str()), (DAMAGED, BEHIND));
        assert_eq!(damaged.parked_at_ms, 1_729_000_000_000);
        let reason = damaged.rejected.as_deref().unwrap_or_default();
        assert!(reason.starts_with("unreadable: "), "{reason}");
        assert!(behind.rejected.is_none());
    }

    #[test]
    fn an_unreadable_write_can_be_forgotten() {
        with_a_damaged_one(async {
            replay().await.expect("a replay");
            let found = get(DAMAGED).await.expect("an answer");
            assert_eq!(found.map(|found| found.id).as_deref(), Some(DAMAGED));
            remove(DAMAGED).await.expect("removed");
            assert!(get(DAMAGED).await.expect("an answer").is_none());
        });
        let keys = with(|fake| fake.stored.keys().cloned().collect::<Vec<_>>());
        assert_eq!(keys, [] as [&str; 0], "nothing is left of it");
    }

    #[test]
    fn to_retry_an_unreadable_write_does_not_change_it() {
        assert!(with_a_damaged_one(retry(DAMAGED)).expect("an answer"));
        with(|fake| assert_eq!(fake.stored[DAMAGED], BYTES));
    }
}
