//! Dead letters: shown, replayed, discarded.

use std::time::Duration;

use dead_letters::{Error, Filter};
use deliveries::Subscription;
use emporium_tests::{conformance, platform::*};
use journal::CommitError;

/// Publishes an event and buries its delivery. Returns the delivery.
async fn dead(instance: &mut Instance, service: &str, topic: &str, id: &str) -> u64 {
    instance.committed(publishes([event(topic, id)])).await;
    let lease = instance
        .claim_one(&subscription(service, topic))
        .await
        .lease;
    assert_eq!(
        instance
            .bury(vec![burial(lease, &format!("reason of {id}"))])
            .await,
        [Ok(())]
    );
    lease.delivery
}

async fn ids(instance: &mut Instance, filter: Filter) -> Vec<String> {
    let page = instance
        .list_dead(filter, 500, None)
        .await
        .expect("letters");
    page.dead_letters
        .into_iter()
        .map(|letter| letter.event_id)
        .collect()
}

/// Claims so many deliveries, each as soon as it falls due. Returns the events.
/// Those that had fallen due together come in descending order: adapters differ.
async fn claimed_when_due(
    platform: &Platform,
    instance: &mut Instance,
    subscription: &Subscription,
    count: usize,
) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        let claimed = instance.claim(subscription, 10).await;
        let mut due: Vec<_> = claimed
            .deliveries
            .into_iter()
            .map(|delivery| delivery.event_id)
            .collect();
        due.sort_by(|one, other| other.cmp(one));
        events.extend(due);
        if events.len() >= count {
            return events;
        }
        let wait = claimed.next_due_in_ms.expect("more");
        assert!(wait <= 1000, "{wait}");
        platform.advance(Duration::from_millis(wait));
    }
}

conformance! {
    async fn a_dead_letter_tells_its_story(platform) {
        let mut instance = platform.instance().await;
        instance.committed(publishes([keyed("topic", "e1", "key")])).await;
        let published = instance.events(None, 1).await.expect("events")[0].published_at_ms;
        let lease = instance.claim_one(&subscription("service", "topic")).await.lease;
        platform.advance(Duration::from_secs(5));
        instance.bury(vec![burial(lease, "why")]).await;
        let letter = instance.get_dead(lease.delivery).await.expect("read").expect("a letter");
        assert_eq!(letter.delivery, lease.delivery);
        assert_eq!((letter.service.as_str(), letter.topic.as_str()), ("service", "topic"));
        assert_eq!((letter.event_id.as_str(), letter.kind.as_str()), ("e1", "thing.happened"));
        assert_eq!(letter.subject.as_deref(), Some("key"));
        assert_eq!(letter.envelope, b"e1");
        assert_eq!((letter.attempts, letter.reason.as_str()), (1, "why"));
        assert_eq!(letter.published_at_ms, published);
        assert!(letter.died_at_ms >= published + 5000);
    }

    async fn what_is_not_dead_is_no_letter(platform) {
        let mut instance = platform.instance().await;
        instance.committed(publishes([event("topic", "e1")])).await;
        let lease = instance.claim_one(&subscription("service", "topic")).await.lease;
        for delivery in [lease.delivery, 999, u64::MAX] {
            assert_eq!(instance.get_dead(delivery).await, Ok(None));
            assert_eq!(instance.replay(vec![delivery], None).await, Ok(0));
            assert_eq!(instance.discard(vec![delivery]).await, Ok(0));
        }
        instance.committed(settles(lease)).await;
    }

    async fn the_latest_death_comes_first(platform) {
        let mut instance = platform.instance().await;
        for id in ["e1", "e2", "e3"] {
            dead(&mut instance, "service", "topic", id).await;
            platform.advance(Duration::from_millis(10));
        }
        assert_eq!(ids(&mut instance, nothing_filtered()).await, ["e3", "e2", "e1"]);
    }

    async fn letters_are_listed_page_by_page(platform) {
        let mut instance = platform.instance().await;
        for number in 0..5 {
            dead(&mut instance, "service", "topic", &format!("e{number}")).await;
        }
        let mut seen = Vec::new();
        let mut cursor = None;
        for length in [2, 2, 1] {
            let page = instance.list_dead(nothing_filtered(), 2, cursor).await.expect("a page");
            assert_eq!(page.dead_letters.len(), length);
            seen.extend(page.dead_letters.into_iter().map(|letter| letter.event_id));
            cursor = page.next;
        }
        assert_eq!(cursor, None);
        assert_eq!(seen, ["e4", "e3", "e2", "e1", "e0"]);
    }

    async fn filters_exclude_what_differs(platform) {
        let mut instance = platform.instance().await;
        dead(&mut instance, "one", "a", "e1").await;
        dead(&mut instance, "one", "b", "e2").await;
        dead(&mut instance, "two", "c", "e3").await;
        let by = |service: &str| Filter { service: Some(service.into()), ..nothing_filtered() };
        assert_eq!(ids(&mut instance, by("one")).await, ["e2", "e1"]);
        let both = Filter { topic: Some("b".into()), ..by("one") };
        assert_eq!(ids(&mut instance, both.clone()).await, ["e2"]);
        let none = Filter { kind: Some("other".into()), ..both };
        assert_eq!(ids(&mut instance, none).await, Vec::<String>::new());
        let kind = Filter { kind: Some("thing.happened".into()), ..nothing_filtered() };
        assert_eq!(ids(&mut instance, kind).await.len(), 3);
    }

    async fn a_listing_of_letters_is_well_formed_or_refused(platform) {
        let mut instance = platform.instance().await;
        for (limit, cursor) in [(0, None), (501, None), (1, Some("nonsense".to_owned()))] {
            let refused = instance.list_dead(nothing_filtered(), limit, cursor).await;
            assert!(matches!(refused, Err(Error::InvalidQuery(_))), "{refused:?}");
        }
    }

    async fn a_replayed_letter_has_all_its_attempts_and_its_id(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        let delivery = dead(&mut instance, "service", "topic", "e1").await;
        assert_eq!(instance.replay(vec![delivery, delivery], None).await, Ok(1));
        assert_eq!(instance.replay(vec![delivery], None).await, Ok(0));
        assert_eq!(instance.get_dead(delivery).await, Ok(None));
        for last in [false, false, true] {
            let claimed = instance.claim_one(&subscription).await;
            assert_eq!(claimed.event_id, "e1");
            let fate = instance.release(vec![back(claimed.lease, "again")]).await.remove(0);
            assert_eq!(fate == Ok(deliveries::Fate::Dead), last, "{fate:?}");
            platform.advance(BACKOFF_OVER);
        }
        let letter = instance.get_dead(delivery).await.expect("read").expect("a letter");
        assert_eq!((letter.attempts, letter.reason.as_str()), (3, "again"));
    }

    async fn a_lease_from_before_the_replay_stays_void(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "e1")])).await;
        let before = instance.claim_one(&subscription).await.lease;
        instance.bury(vec![burial(before, "no")]).await;
        instance.replay(vec![before.delivery], None).await.expect("a replay");
        let after = instance.claim_one(&subscription).await.lease;
        assert_eq!(instance.commit_one(settles(before)).await, Err(CommitError::LeaseLost));
        instance.committed(settles(after)).await;
    }

    async fn a_discarded_letter_is_forgotten(platform) {
        let mut instance = platform.instance().await;
        let one = dead(&mut instance, "service", "topic", "e1").await;
        let two = dead(&mut instance, "service", "topic", "e2").await;
        assert_eq!(instance.discard(vec![one, 999, one]).await, Ok(1));
        assert_eq!(ids(&mut instance, nothing_filtered()).await, ["e2"]);
        assert_eq!(instance.replay(vec![one, two], None).await, Ok(1));
    }

    async fn a_replay_can_be_spread_over_time(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        let ids = ["0", "1", "2", "3", "4"];
        instance.committed(publishes(ids.map(|id| event("topic", id)))).await;
        let batch = instance.claim(&subscription, 10).await.deliveries;
        let burials = batch.iter().map(|delivery| burial(delivery.lease, "no"));
        instance.bury(burials.collect()).await;
        let dead = batch.iter().rev().map(|delivery| delivery.lease.delivery);
        let mut dead: Vec<u64> = dead.collect();
        // What is not dead takes no place.
        dead.insert(0, 999_999);
        dead.insert(2, dead[1]);
        let began = platform.now_ms();
        assert_eq!(instance.replay(dead, Some(1)).await, Ok(5));
        let handled = claimed_when_due(platform, &mut instance, &subscription, 5).await;
        assert_eq!(handled, ["4", "3", "2", "1", "0"]);
        assert!(platform.now_ms() - began >= 4000);
    }

    async fn many_a_second_may_be_replayed(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes((0..100).map(|number| event("topic", &number.to_string())))).await;
        let batch = instance.claim(&subscription, 100).await.deliveries;
        let burials = batch.iter().map(|delivery| burial(delivery.lease, "no"));
        instance.bury(burials.collect()).await;
        let dead = batch.iter().map(|delivery| delivery.lease.delivery).collect();
        let began = platform.now_ms();
        assert_eq!(instance.replay(dead, Some(10)).await, Ok(100));
        let status = instance.status().await;
        assert_eq!((status.dead, status.pending + status.delayed), (0, 100));
        // One at once, the others every 100 ms; a clock may round up.
        let due = (platform.now_ms() + 1 - began) / 100 + 1;
        assert!(status.pending <= due, "{status:?}, {due}");
        platform.advance(Duration::from_secs(10));
        assert_eq!(instance.claim(&subscription, 100).await.deliveries.len(), 100);
        let refused = instance.replay(vec![1], Some(0)).await;
        assert!(matches!(refused, Err(dead_letters::Error::InvalidQuery(_))), "{refused:?}");
    }

    async fn a_replay_that_is_spread_keeps_the_order_of_a_key(platform) {
        let mut instance = platform.instance().await;
        let subscription = blocking_subscription("service", "topic");
        instance.committed(publishes(["1", "2"].map(|id| keyed("topic", id, "key")))).await;
        instance.committed(publishes([event("topic", "other")])).await;
        let batch = instance.claim(&subscription, 10).await.deliveries;
        let burials = batch.iter().map(|delivery| burial(delivery.lease, "no"));
        instance.bury(burials.collect()).await;
        let find = |id: &str| batch.iter().find(|delivery| delivery.event_id == id).expect("claimed").lease.delivery;
        let began = platform.now_ms();
        assert_eq!(instance.replay(vec![find("other"), find("1")], Some(1)).await, Ok(2));
        let handled = claimed_when_due(platform, &mut instance, &subscription, 2).await;
        assert_eq!(handled, ["other", "1"]);
        assert!(platform.now_ms() - began >= 1000);
    }
}
