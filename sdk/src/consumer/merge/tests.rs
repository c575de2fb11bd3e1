//! Merged units do what their parts would do one after the other.

use std::{cell::RefCell, rc::Rc};

use proptest::prelude::*;

use super::*;
use crate::platform::fake::Fake;

const LEASE: Lease = Lease {
    delivery: 1,
    attempt: 1,
};

fn unit(writes: Vec<Write>, events: Vec<Event>) -> Unit {
    Unit {
        id: None,
        writes,
        events,
        settles: Vec::new(),
    }
}

fn put(key: &str, expected: Expectation, value: &str) -> Write {
    Write::Put(Put {
        collection: "c".into(),
        key: key.into(),
        expected,
        value: value.into(),
        entries: Vec::new(),
        blobs: vec![value.into()],
    })
}

fn remove(key: &str, expected: Expectation) -> Write {
    Write::Remove(Removal {
        collection: "c".into(),
        key: key.into(),
        expected,
    })
}

fn event(id: String) -> Event {
    Event {
        id,
        topic: "t".into(),
        kind: "K".into(),
        subject: None,
        not_before_ms: None,
        traceparent: None,
        envelope: Vec::new(),
    }
}

fn merged(units: Vec<Unit>) -> Result<Unit, Unmergeable> {
    let mut merged = Merged::default();
    for (number, unit) in units.into_iter().enumerate() {
        let settles = match number {
            0 => Settled::Head(LEASE),
            _ => Settled::Follower(number as u64 + 1),
        };
        merged.add(unit, 0, settles, |_| None)?;
    }
    Ok(merged.into_unit())
}

#[test]
fn the_last_value_goes_with_the_first_expectation() {
    let both = merged(vec![
        unit(
            vec![put("a", Expectation::Version(4), "1")],
            vec![event("x".into())],
        ),
        unit(
            vec![put("a", Expectation::Version(5), "2")],
            vec![event("y".into())],
        ),
    ]);
    let both = both.expect("merged");
    let [Write::Put(put)] = &both.writes[..] else {
        panic!("{both:?}");
    };
    assert!(matches!(put.expected, Expectation::Version(4)), "{put:?}");
    assert_eq!(
        (&put.value[..], &put.blobs[..]),
        (&b"2"[..], &["2".to_owned()][..])
    );
    assert_eq!(
        both.events.iter().map(|e| &e.id[..]).collect::<Vec<_>>(),
        ["x", "y"]
    );
    let [settlement] = &both.settles[..] else {
        panic!("{both:?}");
    };
    assert_eq!(settlement.followers, [2]);
}

#[test]
fn a_document_that_was_created_can_be_updated_and_removed() {
    let all = merged(vec![
        unit(vec![put("a", Expectation::Absent, "1")], vec![]),
        unit(vec![put("a", Expectation::Version(1), "2")], vec![]),
        unit(vec![remove("a", Expectation::Version(1))], vec![]),
    ]);
    let all = all.expect("merged");
    assert!(
        matches!(
            &all.writes[..],
            [Write::Remove(Removal {
                expected: Expectation::Absent,
                ..
            })]
        ),
        "{all:?}"
    );
}

#[test]
fn what_would_conflict_or_begin_anew_is_not_merged() {
    let first = |write| unit(vec![write], vec![]);
    for (before, after) in [
        (
            put("a", Expectation::Absent, "1"),
            put("a", Expectation::Absent, "2"),
        ),
        (
            put("a", Expectation::Version(1), "1"),
            put("a", Expectation::Version(1), "2"),
        ),
        (
            put("a", Expectation::Any, "1"),
            put("a", Expectation::Version(1), "2"),
        ),
        (
            remove("a", Expectation::Version(1)),
            put("a", Expectation::Absent, "2"),
        ),
        (
            remove("a", Expectation::Version(1)),
            put("a", Expectation::Any, "2"),
        ),
        (
            remove("a", Expectation::Version(1)),
            remove("a", Expectation::Version(1)),
        ),
    ] {
        let both = merged(vec![first(before.clone()), first(after.clone())]);
        assert!(both.is_err(), "{before:?} {after:?}");
    }
}

#[test]
fn a_unit_with_an_id_or_a_document_twice_stays_alone() {
    let plain = || unit(vec![put("b", Expectation::Any, "1")], vec![]);
    let with_id = || Unit {
        id: Some("u".into()),
        ..plain()
    };
    let twice = || {
        let write = || put("a", Expectation::Any, "1");
        unit(vec![write(), write()], vec![])
    };
    for (first, second) in [
        (plain(), with_id()),
        (with_id(), plain()),
        (plain(), twice()),
        (twice(), plain()),
    ] {
        assert!(merged(vec![first, second]).is_err());
    }
    assert_eq!(merged(vec![twice()]).expect("alone").writes.len(), 2);
}

#[test]
fn limits_are_kept() {
    let events = |count: usize| (0..count).map(|number| event(number.to_string())).collect();
    let writes = |from: usize, count: usize| {
        let keys = from..from + count;
        keys.map(|key| put(&key.to_string(), Expectation::Any, ""))
            .collect()
    };
    let large = || vec![put("a", Expectation::Any, &"x".repeat(3 << 20))];
    for (first, second, fits) in [
        (unit(vec![], events(500)), unit(vec![], events(500)), true),
        (unit(vec![], events(500)), unit(vec![], events(501)), false),
        (
            unit(writes(0, 600), vec![]),
            unit(writes(600, 400), vec![]),
            true,
        ),
        (
            unit(writes(0, 600), vec![]),
            unit(writes(600, 401), vec![]),
            false,
        ),
        (
            unit(writes(0, 600), vec![]),
            unit(writes(0, 600), vec![]),
            true,
        ),
        (unit(large(), vec![]), unit(writes(0, 1), vec![]), true),
        (unit(large(), vec![]), unit(large(), vec![]), false),
    ] {
        assert_eq!(merged(vec![first, second]).is_ok(), fits);
    }
}

/// What a handler does to one document.
#[derive(Clone, Debug)]
enum Act {
    Update,
    Overwrite,
    Remove,
    Nothing,
}

/// What handlers do, each to some of three documents.
fn handlers() -> impl Strategy<Value = Vec<Vec<(usize, Act)>>> {
    let act = prop_oneof![
        4 => Just(Act::Update),
        1 => Just(Act::Overwrite),
        1 => Just(Act::Remove),
        1 => Just(Act::Nothing),
    ];
    let acts = prop::collection::btree_map(0..3_usize, act, 0..3);
    prop::collection::vec(acts.prop_map(|acts| acts.into_iter().collect()), 1..12)
}

/// The unit of one handler, which reads with `look` what it writes.
fn decide(
    number: usize,
    acts: &[(usize, Act)],
    look: impl Fn(&Name) -> Option<(Vec<u8>, u64)>,
) -> Unit {
    let mut writes = Vec::new();
    for (document, act) in acts {
        let key = document.to_string();
        let found = look(&("c".into(), key.clone()));
        let expected = found.as_ref().map_or(Expectation::Absent, |(_, version)| {
            Expectation::Version(*version)
        });
        let before = found.as_ref().map_or("", |(value, _)| {
            std::str::from_utf8(value).unwrap_or_default()
        });
        let value = format!("{before},{number}");
        match act {
            Act::Update => writes.push(put(&key, expected, &value)),
            Act::Overwrite => writes.push(put(&key, Expectation::Any, &value)),
            Act::Remove if found.is_some() => writes.push(remove(&key, expected)),
            Act::Remove | Act::Nothing => {}
        }
    }
    unit(writes, vec![event(number.to_string())])
}

type Kept = Vec<(Name, Vec<u8>)>;

fn kept(fake: &Fake) -> Kept {
    let documents = fake.documents.iter();
    documents
        .map(|(name, document)| (name.clone(), document.value.clone()))
        .collect()
}

/// Commit a unit without what it settles.
fn commit(fake: &mut Fake, unit: Unit) -> bool {
    let settles = Vec::new();
    fake.commit(Unit { settles, ..unit }).is_ok()
}

proptest! {
    #[test]
    fn merged_units_do_what_their_parts_do(
        handlers in handlers(),
        existing in prop::collection::vec(any::<bool>(), 3),
    ) {
        let mut one_by_one = Fake::default();
        for (document, exists) in existing.iter().enumerate() {
            if *exists {
                let write = put(&document.to_string(), Expectation::Absent, "0");
                prop_assert!(one_by_one.commit(unit(vec![write], vec![])).is_ok());
            }
        }
        let mut together = Fake {
            documents: one_by_one.documents.clone(),
            ..Fake::default()
        };

        for (number, acts) in handlers.iter().enumerate() {
            let unit = decide(number, acts, |name| {
                let found = one_by_one.documents.get(name)?;
                Some((found.value.clone(), found.version))
            });
            prop_assert!(one_by_one.commit(unit).is_ok());
        }

        // As a series does it: what cannot be merged begins the next unit.
        let mut series = Merged::default();
        let mut settled = 0;
        for (number, acts) in handlers.iter().enumerate() {
            loop {
                let needs_commit = Rc::new(RefCell::new(false));
                let unit = decide(number, acts, |name| match series.pending(name) {
                    Some(Pending::Put { value, version }) => Some((value.to_vec(), version)),
                    Some(Pending::Removed) => None,
                    Some(Pending::Unknown) => {
                        *needs_commit.borrow_mut() = true;
                        None
                    }
                    None => {
                        let found = together.documents.get(name)?;
                        Some((found.value.clone(), found.version))
                    }
                });
                let base = |name: &Name| together.documents.get(name).map(|found| found.version);
                let settles = Settled::Head(Lease { delivery: 0, attempt: 1 });
                if !*needs_commit.borrow() && series.add(unit, number, settles, base).is_ok() {
                    break;
                }
                prop_assert!(!series.is_empty(), "a unit alone is always taken");
                let unit = std::mem::take(&mut series).into_unit();
                settled += unit.settles.len();
                let committed = commit(&mut together, unit);
                prop_assert!(committed, "{together:?}");
            }
        }
        // The versions that handlers were shown are those that documents get.
        let shown: Vec<(Name, u64)> = series
            .written
            .keys()
            .filter_map(|name| match series.pending(name)? {
                Pending::Put { version, .. } => Some((name.clone(), version)),
                Pending::Removed | Pending::Unknown => None,
            })
            .collect();
        let unit = series.into_unit();
        settled += unit.settles.len();
        let committed = commit(&mut together, unit);
        prop_assert!(committed, "{together:?}");
        for (name, version) in shown {
            prop_assert_eq!(together.documents.get(&name).map(|found| found.version), Some(version));
        }
        prop_assert_eq!(settled, handlers.len());
        prop_assert_eq!(kept(&together), kept(&one_by_one));
        let ids = |fake: &Fake| fake.events.iter().map(|e| e.id.clone()).collect::<Vec<_>>();
        prop_assert_eq!(ids(&together), ids(&one_by_one));
    }
}
