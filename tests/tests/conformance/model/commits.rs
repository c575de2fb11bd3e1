//! Random units, and what becomes of them.

use deliveries::Lease;
use emporium_tests::platform::*;
use journal::{CommitError, Event, Expectation, Put, Removal, Settlement, Unit, Write};
use rand::Rng as _;

use super::{Run, world::Outcome};

const TOPICS: [&str; 2] = ["x", "y"];
const KEYS: [Option<&str>; 4] = [None, None, Some("k"), Some("l")];
const DOCUMENTS: [&str; 4] = ["a", "b", "c", "d"];

impl Run<'_> {
    pub(super) async fn commit(&mut self) {
        let units = self.random.random_range(1..=4);
        let units = (0..units).map(|_| self.unit()).collect();
        self.commit_units(units).await;
    }

    /// As a consumer does: one unit for each delivery, or for several.
    pub(super) async fn settle(&mut self) {
        let leases = self.some_leases();
        let size = self.random.random_range(1..=3);
        let units = leases.chunks(size).map(|leases| {
            let mut unit = if self.random.random_bool(0.5) {
                self.unit()
            } else {
                nothing()
            };
            for lease in leases {
                let settlement = self.settlement(*lease, &unit.settles);
                unit.settles.extend(settlement);
            }
            unit
        });
        let units = units.collect();
        self.commit_units(units).await;
    }

    /// A lease with some of its followers, or now and then with another delivery,
    /// unless the unit settles it already.
    fn settlement(&mut self, lease: Lease, others: &[Settlement]) -> Option<Settlement> {
        let key = (lease.delivery, lease.attempt);
        let mut followers = self.followers.get(&key).cloned().unwrap_or_default();
        followers.truncate(self.random.random_range(0..=followers.len()));
        if self.random.random_bool(0.05) {
            let stranger = self.some_leases().first().map(|lease| lease.delivery);
            followers.extend(stranger.filter(|id| !self.world.waits(*id)));
        }
        let mut all: Vec<u64> = others
            .iter()
            .flat_map(|other| other.followers.iter().chain([&other.lease.delivery]))
            .chain(&followers)
            .copied()
            .collect();
        all.push(lease.delivery);
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        (all.len() == count).then_some(Settlement { lease, followers })
    }

    async fn commit_units(&mut self, units: Vec<Unit>) {
        let began = self.now();
        let outcomes = self.instance().commit(units.clone()).await;
        let now = self.since(began);
        self.history.add(&units);
        self.history.add(&outcomes);
        assert_eq!(outcomes.len(), units.len());
        for (unit, outcome) in units.iter().zip(outcomes) {
            let expected = self.world.commit(unit, now);
            let outcome = match outcome {
                Ok(receipt) => Outcome::Committed(receipt.versions),
                Err(CommitError::Repeated) => Outcome::Repeated,
                Err(CommitError::LeaseLost) => Outcome::LeaseLost,
                Err(CommitError::Conflict(_)) => Outcome::Conflict,
                Err(other) => panic!("{other:?}"),
            };
            match (&outcome, &expected) {
                (Outcome::Committed(versions), Outcome::Committed(expected)) => {
                    assert_eq!(versions.len(), expected.len());
                    for (version, expected) in versions.iter().zip(expected) {
                        // What was not there has no version that ended it.
                        assert!(*expected == 0 || version == expected, "{outcome:?}");
                    }
                }
                _ => assert_eq!(outcome, expected, "{unit:?}"),
            }
        }
    }

    fn unit(&mut self) -> Unit {
        let mut documents = DOCUMENTS.to_vec();
        let writes = self.random.random_range(0..=2);
        let writes = (0..writes).map(|_| {
            let place = self.random.random_range(0..documents.len());
            self.write(documents.swap_remove(place))
        });
        let writes = writes.collect();
        let events = self.random.random_range(0..=3);
        let events = (0..events).map(|_| self.event()).collect();
        let named = self.random.random_bool(0.3);
        Unit {
            id: named.then(|| format!("unit-{}", self.random.random_range(0..40))),
            writes,
            events,
            settles: Vec::new(),
        }
    }

    fn write(&mut self, key: &str) -> Write {
        let version = self.world.documents.get(key).map_or(1, |kept| kept.version);
        let expected = self.any(&[
            Expectation::Any,
            Expectation::Any,
            Expectation::Absent,
            Expectation::Version(version),
            Expectation::Version(version + 1),
        ]);
        if self.random.random_bool(0.2) {
            return Write::Remove(Removal {
                expected,
                ..removal("things", key)
            });
        }
        let value = self.random.random_range(0..1000).to_string();
        Write::Put(Put {
            expected,
            entries: vec![entry("by-value", &value)],
            ..put("things", key, &value)
        })
    }

    fn event(&mut self) -> Event {
        if self.random.random_bool(0.9) {
            self.published += 1;
        }
        let delay = self.any(&[None, None, None, Some(30_000), Some(100_000)]);
        Event {
            subject: self.any(&KEYS).map(Into::into),
            not_before_ms: delay.map(|delay| self.platform.now_ms() + delay),
            ..event(self.any(&TOPICS), &format!("event-{}", self.published))
        }
    }
}
