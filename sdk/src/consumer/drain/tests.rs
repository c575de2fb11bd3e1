//! Drains on a platform in memory, whose clock moves when nothing else does.

use std::{cell::RefCell, time::Duration};

use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    document::{self, Document, Listing, Order, Selection},
    journal::CommitError,
    platform::fake::{advance_until_done, spawn, with},
};

const MS: Duration = Duration::from_millis(1);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Total {
    name: String,
    events: Vec<String>,
}

impl Document for Total {
    const COLLECTION: &'static str = "totals";

    fn key(&self) -> String {
        self.name.clone()
    }
}

fn subscription() -> Subscription {
    Subscription::new("test", "topic")
}

/// Owe so many deliveries, with the ordering keys that `key` says.
fn owe(count: u64, key: impl Fn(u64) -> Option<&'static str>) {
    with(|fake| {
        for number in 0..count {
            fake.owe(key(number), &[]);
        }
    });
}

/// Add an event to a total.
async fn add(received: &Received, total: &str) -> Result<Unit, Verdict> {
    let mut unit = received.unit();
    match document::get::<Total>(total).await? {
        None => unit.create(&Total {
            name: total.into(),
            events: vec![received.id().into()],
        })?,
        Some(mut stored) => {
            stored.value.events.push(received.id().into());
            unit.update(&stored)?;
        }
    }
    Ok(unit)
}

fn total(name: &str) -> Vec<String> {
    with(|fake| {
        let stored = fake.documents.get(&("totals".into(), name.into()));
        let total = stored.and_then(|stored| serde_json::from_slice::<Total>(&stored.value).ok());
        total.map(|total| total.events).unwrap_or_default()
    })
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers
        .into_iter()
        .map(|number| format!("e{number}"))
        .collect()
}

/// Deliveries that took more than one attempt.
fn tried_again() -> Vec<(u64, u32)> {
    with(|fake| {
        fake.settled
            .iter()
            .copied()
            .filter(|(_, attempts)| *attempts > 1)
            .collect()
    })
}

fn settled() -> usize {
    with(|fake| fake.settled.len())
}

fn drained(
    subscription: &Subscription,
    handle: impl AsyncFn(&Received) -> Result<Unit, Verdict>,
) -> Duration {
    let begun = platform::now();
    let outcome = advance_until_done(drain(subscription, handle));
    assert!(outcome.is_ok(), "{outcome:?}");
    platform::now() - begun
}

#[test]
fn a_hundred_events_on_one_document_take_one_attempt_each() {
    owe(100, |_| None);
    drained(&subscription(), async |received| add(received, "all").await);
    let mut seen = total("all");
    seen.sort_by_key(|id| id[1..].parse::<u64>().unwrap_or_default());
    assert_eq!(seen, ids(1..=100));
    assert_eq!(tried_again(), []);
    let commits = with(|fake| fake.commits.len());
    assert!(commits <= 4, "{commits} commits");
}

#[test]
fn contended_documents_are_remembered() {
    owe(1000, |_| None);
    drained(&subscription(), async |received| add(received, "all").await);
    assert_eq!(total("all").len(), 1000);
    let units: usize = with(|fake| fake.commits.iter().sum());
    assert!(
        units < 130,
        "{units} units: after the first batch, one for each batch"
    );
}

#[test]
fn contenders_elsewhere_cost_no_attempt() {
    owe(300, |_| None);
    for _ in 0..3 {
        spawn(async {
            let outcome = drain(&subscription(), async |received| add(received, "all").await).await;
            assert!(outcome.is_ok());
        });
    }
    drained(&subscription(), async |received| add(received, "all").await);
    assert_eq!(total("all").len(), 300);
    assert_eq!(tried_again(), []);
}

#[test]
fn a_conflict_that_nobody_else_causes_is_retried_by_the_policy() {
    owe(3, |_| None);
    with(|fake| fake.backoff = Duration::from_secs(60));
    let occupied = Total {
        name: "e2".into(),
        events: Vec::new(),
    };
    let mut unit = Unit::new("test", crate::trace::Trace::start());
    unit.create(&occupied).expect("a unit");
    advance_until_done(unit.commit()).expect("committed");
    drained(&subscription(), async |received| {
        let mut unit = received.unit();
        unit.create(&Total {
            name: received.id().into(),
            events: Vec::new(),
        })?;
        Ok(unit)
    });
    assert_eq!(settled(), 2);
    assert!(with(|fake| fake.owed[&2].due_at > platform::now()));
}

#[test]
fn events_of_a_key_are_handled_in_order_and_committed_together() {
    owe(100, |_| Some("a"));
    drained(&subscription(), async |received| add(received, "a").await);
    assert_eq!(total("a"), ids(1..=100));
    let commits = with(|fake| fake.commits.clone());
    assert!(commits.len() <= 2, "{commits:?}");
    assert_eq!(
        with(|fake| fake.documents.values().map(|d| d.version).max()),
        Some(1)
    );
}

#[test]
fn a_slow_neighbour_holds_up_no_other_key() {
    owe(1, |_| Some("slow"));
    owe(200, |_| Some("fast"));
    let done_at = RefCell::new(Duration::ZERO);
    let begun = platform::now();
    drained(&subscription(), async |received| {
        if received.id() == "e1" {
            platform::sleep(Duration::from_secs(5)).await;
        }
        *done_at.borrow_mut() = platform::now() - begun;
        let name = if received.id() == "e1" {
            "slow"
        } else {
            "fast"
        };
        if received.id() == "e201" {
            assert!(*done_at.borrow() < 100 * MS, "{done_at:?}");
        }
        add(received, name).await
    });
    assert_eq!(total("fast"), ids(2..=201));
    assert_eq!(total("slow"), ids([1]));
}

#[test]
fn leases_are_renewed_while_handlers_run_and_while_commits_are_under_way() {
    owe(10, |_| None);
    with(|fake| fake.commit_latency = Duration::from_secs(70));
    let took = drained(&subscription(), async |received| {
        platform::sleep(Duration::from_secs(40)).await;
        Ok(received.unit())
    });
    assert_eq!(settled(), 10);
    assert_eq!(tried_again(), []);
    assert!(took > Duration::from_secs(110), "{took:?}");
}

#[test]
fn handlers_run_while_a_commit_is_under_way() {
    owe(2, |_| None);
    with(|fake| fake.commit_latency = 500 * MS);
    let took = drained(&subscription(), async |received| {
        let steps = if received.id() == "e1" { 1 } else { 10 };
        for _ in 0..steps {
            platform::sleep(50 * MS).await;
        }
        Ok(received.unit())
    });
    // 500 ms of handling, then a commit: the first commit was beside.
    assert!(took < 1200 * MS, "{took:?}");
}

#[test]
fn a_lost_lease_ends_its_handler() {
    owe(2, |_| None);
    spawn(async {
        platform::sleep(Duration::from_secs(5)).await;
        // Somebody else has it.
        with(|fake| {
            let lost = fake.owed.get_mut(&1).expect("owed");
            lost.attempts += 1;
            lost.leased_until = Some(Duration::MAX);
        });
    });
    let ended = RefCell::new(Vec::new());
    drained(&subscription(), async |received| {
        platform::sleep(Duration::from_secs(20)).await;
        ended.borrow_mut().push(received.id().to_owned());
        Ok(received.unit())
    });
    assert_eq!(ended.take(), ids([2]));
    assert_eq!(with(|fake| fake.settled.clone()), [(2, 1)]);
}

/// Have two deliveries claimed with leases of three seconds, which no renewal keeps:
/// renewals take `renewal`. The second is handed back, and falls due again half a
/// second after they ran out. `handle` handles the first; it is told the attempt.
fn drained_with_a_gap(renewal: Duration, handle: impl AsyncFn(u32)) {
    owe(2, |_| None);
    with(|fake| fake.renewal_latency = Some(renewal));
    let short = Subscription {
        lease: Duration::from_secs(3),
        ..subscription()
    };
    drained(&short, async |received| {
        if received.id() == "e1" {
            handle(received.attempt()).await;
        } else if received.attempt() == 1 {
            return Err(Verdict::Retry {
                reason: "not yet".into(),
                after: Some(3500 * MS),
            });
        }
        Ok(received.unit())
    });
}

#[test]
fn a_delivery_that_its_own_drain_claims_again_is_not_forgotten() {
    drained_with_a_gap(Duration::from_secs(20), async |attempt| {
        if attempt == 1 {
            platform::sleep(5000 * MS).await;
        }
    });
    assert_eq!(tried_again(), [(1, 2), (2, 2)]);
}

#[test]
fn a_renewal_of_the_earlier_attempt_does_not_end_the_later_one() {
    // It is refused at 3.5 seconds, and heard of at 6.
    drained_with_a_gap(Duration::from_secs(5), async |attempt| {
        let seconds = if attempt == 1 { 60 } else { 0 };
        platform::sleep(Duration::from_secs(seconds) + 2600 * MS).await;
    });
    assert_eq!(tried_again(), [(1, 2), (2, 2)]);
}

#[test]
fn a_follower_that_fails_is_handed_out_again_as_a_head() {
    owe(10, |_| Some("a"));
    let calls = RefCell::new(Vec::new());
    drained(&subscription(), async |received| {
        calls
            .borrow_mut()
            .push((received.id().to_owned(), received.attempt()));
        if received.id() == "e4" && calls.borrow().len() <= 5 {
            return Err(Verdict::retry("not yet"));
        }
        add(received, "a").await
    });
    assert_eq!(total("a"), ids(1..=10));
    // As a follower, whose attempt does not count, as a head, and again.
    assert_eq!(tried_again(), [(4, 2)]);
}

#[test]
fn a_head_that_fails_leaves_its_followers_alone() {
    owe(5, |_| Some("a"));
    drained(&subscription(), async |received| {
        if received.attempt() == 1 && received.id() == "e1" {
            return Err(Verdict::retry("not yet"));
        }
        add(received, "a").await
    });
    assert_eq!(total("a"), ids(1..=5));
    assert_eq!(tried_again(), [(1, 2)]);
}

#[test]
fn a_head_that_is_rejected_is_buried_and_its_followers_go_on() {
    owe(5, |_| Some("a"));
    drained(&subscription(), async |received| {
        if received.id() == "e1" {
            return Err(Verdict::reject("never"));
        }
        add(received, "a").await
    });
    assert_eq!(total("a"), ids(2..=5));
    assert_eq!(
        with(|fake| fake.owed[&1].dead.clone()).as_deref(),
        Some("never")
    );
}

#[test]
fn a_first_retry_comes_within_the_same_drain() {
    owe(1, |_| None);
    let calls = RefCell::new(Vec::new());
    drained(&subscription(), async |received| {
        calls.borrow_mut().push(platform::now());
        match received.attempt() {
            1 => Err(Verdict::retry("not yet")),
            _ => Ok(received.unit()),
        }
    });
    let calls = calls.take();
    assert_eq!(settled(), 1);
    assert!(calls[1] - calls[0] < 100 * MS, "{calls:?}");
}

#[test]
fn a_listing_sees_what_was_handled_before() {
    owe(5, |_| Some("a"));
    drained(&subscription(), async |received| {
        let page = document::list::<Total>(Listing {
            selection: Selection::Every,
            order: Order::Ascending,
            limit: 500,
            cursor: None,
        })
        .await?;
        let mut unit = received.unit();
        let mut events: Vec<String> = page.documents.into_iter().map(|d| d.value.name).collect();
        events.push(received.id().into());
        unit.create(&Total {
            name: received.id().into(),
            events,
        })?;
        Ok(unit)
    });
    assert_eq!(total("e5"), ids(1..=5));
    assert_eq!(tried_again(), []);
}

#[test]
fn a_handler_may_commit_something_itself() {
    owe(5, |_| Some("a"));
    drained(&subscription(), async |received| {
        let mut unit = received.unit();
        unit.overwrite(&Total {
            name: received.id().into(),
            events: Vec::new(),
        })?;
        unit.commit().await?;
        add(received, "a").await
    });
    assert_eq!(total("a"), ids(1..=5));
    assert_eq!(tried_again(), []);
}

#[test]
fn a_unit_that_is_refused_merged_is_committed_in_parts() {
    owe(8, |_| Some("a"));
    owe(8, |_| None);
    with(|fake| fake.refuses_merged = Some(CommitError::InvalidUnit("of one".into())));
    drained(&subscription(), async |received| {
        let name = if received.delivery() > 8 { "all" } else { "a" };
        add(received, name).await
    });
    assert_eq!(total("a"), ids(1..=8));
    assert_eq!(total("all").len(), 8);
    assert_eq!(tried_again(), []);
}

#[test]
fn a_unit_that_is_refused_takes_nothing_along_that_it_does_not_settle() {
    owe(3, |_| None);
    let refused = CommitError::InvalidUnit("it is too large".into());
    with(|fake| fake.refuses_key = Some(("large", refused)));
    let retries = RefCell::new(0);
    drained(&subscription(), async |received| {
        let mut unit = received.unit();
        let mut named = Total {
            name: "all".into(),
            events: vec![received.id().into()],
        };
        // The first is committed. The others conflict with it and become a series:
        // the third, then the second.
        let Some(mut stored) = document::get::<Total>("all").await? else {
            unit.create(&named)?;
            return Ok(unit);
        };
        if stored.value.events.contains(&"e3".into()) {
            *retries.borrow_mut() += 1;
            return Err(Verdict::retry("the third came first"));
        }
        if received.id() == "e3" {
            named.name = "large".into();
            unit.create(&named)?;
        }
        stored.value.events.push(received.id().into());
        unit.update(&stored)?;
        Ok(unit)
    });
    assert_eq!(retries.take(), 1, "it saw what was never committed");
    assert_eq!(total("all"), ids([1, 2]));
    assert_eq!(tried_again(), []);
    assert!(with(|fake| fake.owed[&3].dead.is_some()));
}

#[test]
fn one_that_is_rejected_in_a_series_does_not_stop_the_others() {
    owe(50, |_| None);
    drained(&subscription(), async |received| {
        let unit = add(received, "all").await;
        // Once it is handled in a series.
        if received.id() == "e7" && !total("all").is_empty() {
            return Err(Verdict::reject("never"));
        }
        unit
    });
    assert_eq!(total("all").len(), 49);
    assert!(with(|fake| fake.owed[&7].dead.is_some()));
    assert_eq!(tried_again(), []);
}

#[test]
fn what_may_be_poisonous_is_handled_with_nothing_else_in_flight() {
    owe(3, |_| None);
    with(|fake| {
        let owed = fake.owed.get_mut(&3).expect("owed");
        owed.is_poisonous = true;
        owed.attempts = 1;
    });
    let in_flight = RefCell::new(0);
    let handle = async |received: &Received| {
        *in_flight.borrow_mut() += 1;
        let is_alone = *in_flight.borrow() == 1;
        platform::sleep(10 * MS).await;
        if received.id() == "e3" {
            assert!(is_alone && *in_flight.borrow() == 1);
        }
        *in_flight.borrow_mut() -= 1;
        Ok(received.unit())
    };
    let both = advance_until_done(futures::future::join(
        drain(&subscription(), handle),
        drain(&subscription(), handle),
    ));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(settled(), 3);
    assert_eq!(tried_again(), [(3, 2)]);
}

#[test]
fn when_its_time_is_used_up_it_wakes_somebody_else() {
    owe(1000, |_| None);
    let one = Subscription {
        batch: 1,
        ..subscription()
    };
    let took = drained(&one, async |received| {
        platform::sleep(700 * MS).await;
        Ok(received.unit())
    });
    assert!((10_000..11_000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(with(|fake| fake.wakes), 2, "for help, and to go on");
    assert!(with(|fake| fake
        .owed
        .values()
        .all(|owed| owed.leased_until.is_none())));
}

#[test]
fn slow_events_of_one_document_are_not_begun_when_there_is_no_time_left() {
    owe(100, |_| None);
    let took = drained(&subscription(), async |received| {
        platform::sleep(1000 * MS).await;
        add(received, "all").await
    });
    assert!(took < Duration::from_secs(45), "{took:?}");
    assert!(settled() > 20, "{}", settled());
}

#[test]
fn a_batch_handler_settles_many_events_with_one_unit() {
    owe(30, |number| (number >= 10).then_some("a"));
    let sizes = RefCell::new(Vec::new());
    let outcome = advance_until_done(drain_batches(&subscription(), async |events| {
        sizes.borrow_mut().push(events.len());
        let first = events.first().ok_or_else(|| Verdict::reject("none"))?;
        let mut unit = first.unit();
        unit.overwrite(&Total {
            name: "all".into(),
            events: events.iter().map(|event| event.id().to_owned()).collect(),
        })?;
        Ok(unit)
    }));
    assert!(outcome.is_ok());
    assert_eq!(sizes.take(), [30]);
    assert_eq!(total("all"), ids(1..=30));
    assert_eq!(settled(), 30);
}

#[test]
fn one_bad_event_does_not_take_its_batch_along() {
    owe(64, |_| None);
    let outcome = advance_until_done(drain_batches(&subscription(), async |events| {
        if events.iter().any(|event| event.id() == "e20") {
            return Err(Verdict::reject("never"));
        }
        let first = events.first().ok_or_else(|| Verdict::reject("none"))?;
        Ok(first.unit())
    }));
    assert!(outcome.is_ok());
    assert_eq!(settled(), 63);
    assert_eq!(tried_again(), []);
    assert!(with(|fake| fake.owed[&20].dead.is_some()));
}
