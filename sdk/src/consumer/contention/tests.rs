//! How contended chains are put into series.

use super::*;
use crate::{
    consumer::{Subscription, quarantine::Permit},
    deliveries::{Delivery, Lease},
};

const NOW: Duration = Duration::from_secs(100);

fn chain(delivery: u64) -> Rc<Chain> {
    let permit = futures::executor::block_on(Permit::acquire()).share();
    let delivery = Delivery {
        lease: Lease {
            delivery,
            attempt: 1,
        },
        event_id: "e".into(),
        kind: "K".into(),
        subject: None,
        envelope: Vec::new(),
        followers: Vec::new(),
    };
    Chain::new(&Subscription::new("s", "t"), delivery, Rc::new(permit))
}

fn conflict(found: u64) -> Conflict {
    Conflict {
        collection: "c".into(),
        key: "k".into(),
        found: Some(found),
    }
}

#[test]
fn one_series_at_a_time_is_under_way() {
    let mut contention = Contention::default();
    for delivery in 1..=5 {
        contention.push(chain(delivery));
    }
    let begun = contention.begin(NOW, 3);
    assert_eq!(
        begun.map(|(chains, most)| (chains.len(), most)),
        Some((3, 3))
    );
    assert!(contention.begin(NOW, 3).is_none());
    contention.ended();
    let begun = contention.begin(NOW, 3);
    assert_eq!(begun.map(|(chains, _)| chains.len()), Some(2));
}

#[test]
fn one_that_loses_again_and_again_tries_fewer_events() {
    let mut contention = Contention::default();
    let mut sizes = Vec::new();
    let mut now = NOW;
    for _ in 0..8 {
        for delivery in 1..=100 {
            contention.push(chain(delivery));
        }
        let (chains, most) = contention.begin(now, 100).expect("a series");
        sizes.push(most);
        contention.lost(chains.len().min(most), now, 1023);
        contention.remove(|_| true);
        now += Duration::from_secs(1);
    }
    assert_eq!(sizes, [100, 100, 50, 50, 25, 25, 12, 12]);
    contention.push(chain(1));
    assert!(contention.begin(now, 100).is_some());
    contention.ended();
    contention.push(chain(1));
    assert_eq!(contention.begin(now, 100).map(|(_, most)| most), Some(12));
}

#[test]
fn a_series_that_lost_waits_a_little() {
    let mut contention = Contention::default();
    contention.push(chain(1));
    assert!(contention.begin(NOW, 1).is_some());
    contention.lost(1, NOW, 512);
    assert!(contention.begin(NOW, 1).is_none(), "nothing waits");
    contention.push(chain(1));
    assert!(contention.begin(NOW, 1).is_none());
    let resumes_at = contention.resumes_at().expect("it goes on");
    assert!(resumes_at > NOW && resumes_at < NOW + Duration::from_millis(64));
    assert!(contention.begin(resumes_at, 1).is_some());
}

#[test]
fn events_go_into_series_at_once_while_most_of_them_conflict() {
    let mut contention = Contention::default();
    assert!(!contention.is_likely());
    for found in 0..16 {
        contention.remember(&conflict(found));
    }
    assert!(contention.is_likely());
    for _ in 0..16 {
        contention.note(false);
    }
    assert!(!contention.is_likely());
}

#[test]
fn only_other_writers_are_waited_for() {
    let chain = chain(1);
    assert_eq!(respond(&chain, &conflict(1), NOW), Response::Again);
    assert_eq!(respond(&chain, &conflict(2), NOW), Response::Again);
    assert_eq!(respond(&chain, &conflict(2), NOW), Response::Refuse);
    let late = NOW + PATIENCE + Duration::from_secs(1);
    assert_eq!(respond(&chain, &conflict(3), late), Response::GiveBack);
}
