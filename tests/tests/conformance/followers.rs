//! Followers: what waits behind a delivery is handed out and settled with it.

use std::time::Duration;

use deliveries::{Delivery, Lease, Return};
use emporium_tests::{conformance, platform::*};
use journal::{CommitError, Settlement, Unit};

/// Publish events of one key, which share a letter.
async fn publish(instance: &mut Instance, key: &str, count: u32) {
    let events = (1..=count).map(|number| keyed("topic", &format!("{key}{number}"), key));
    instance.committed(publishes(events)).await;
}

fn followers(delivery: &Delivery) -> Vec<&str> {
    let followers = delivery.followers.iter();
    followers
        .map(|follower| follower.event_id.as_str())
        .collect()
}

/// What else the unit of a settlement does, to see whether it happened.
fn noting(settles: Vec<Settlement>) -> Unit {
    Unit {
        settles,
        ..puts([put("things", "note", "1")])
    }
}

async fn is_noted(instance: &mut Instance) -> bool {
    let note = instance.get("things", "note").await.expect("read");
    note.is_some()
}

conformance! {
    async fn those_behind_a_delivery_are_handed_out_with_it(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 3).await;
        let mut last = keyed("topic", "a4", "a");
        last.kind = "thing.ended".into();
        last.envelope = (0..=255).collect();
        instance.committed(publishes([last, event("topic", "free")])).await;
        let batch = instance.claim(&subscription, 10).await.deliveries;
        assert_eq!(batch.len(), 2, "{batch:?}");
        assert_eq!((batch[0].event_id.as_str(), followers(&batch[0])), ("a1", vec!["a2", "a3", "a4"]));
        assert_eq!(batch[0].followers[0].kind, "thing.happened");
        assert_eq!(batch[0].followers[2].kind, "thing.ended");
        assert_eq!(batch[0].followers[2].envelope, (0..=255).collect::<Vec<u8>>());
        assert_eq!((batch[1].event_id.as_str(), followers(&batch[1])), ("free", vec![]));
        assert_eq!(instance.claim(&subscription, 10).await.deliveries, []);
        let mut elsewhere = platform.elsewhere().await;
        assert_eq!(elsewhere.instance.claim(&subscription, 10).await.deliveries, []);
    }

    async fn followers_count_towards_the_limit(platform) {
        let mut instance = platform.instance().await;
        publish(&mut instance, "a", 5).await;
        let batch = instance.claim(&subscription("service", "topic"), 3).await.deliveries;
        assert_eq!(followers(&batch[0]), ["a2", "a3"]);
    }

    async fn every_key_comes_before_the_followers_of_one(platform) {
        let mut instance = platform.instance().await;
        for key in ["a", "b", "c"] {
            publish(&mut instance, key, 3).await;
        }
        let batch = instance.claim(&subscription("service", "topic"), 3).await.deliveries;
        let ids: Vec<_> = batch.iter().map(|delivery| delivery.event_id.as_str()).collect();
        assert_eq!(ids, ["a1", "b1", "c1"]);
        assert!(batch.iter().all(|delivery| delivery.followers.is_empty()), "{batch:?}");
    }

    async fn keys_share_the_room_for_followers(platform) {
        let mut instance = platform.instance().await;
        for key in ["a", "b"] {
            publish(&mut instance, key, 20).await;
        }
        let batch = instance.claim(&subscription("service", "topic"), 10).await.deliveries;
        let counts: Vec<_> = batch.iter().map(|delivery| delivery.followers.len()).collect();
        assert_eq!(counts, [4, 4]);
    }

    async fn a_subscription_that_is_new_gets_followers_too(platform) {
        let mut instance = platform.instance().await;
        publish(&mut instance, "a", 3).await;
        for service in ["one", "other"] {
            let claimed = instance.claim_one(&subscription(service, "topic")).await;
            assert_eq!(followers(&claimed), ["a2", "a3"]);
        }
    }

    async fn followers_are_settled_with_the_one_before_them(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 4).await;
        let claimed = instance.claim_one(&subscription).await;
        instance.committed(noting(vec![with_followers(&claimed, 2)])).await;
        let status = instance.status().await;
        assert_eq!((status.settled, status.latency.counts.iter().sum::<u64>()), (3, 3));
        let last = instance.claim_one(&subscription).await;
        assert_eq!((last.event_id.as_str(), last.lease.attempt), ("a4", 1));
        instance.committed(settles(last.lease)).await;
        assert_eq!(instance.claim(&subscription, 10).await.next_due_in_ms, None);
    }

    async fn a_follower_that_is_not_settled_is_handed_out_again(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 4).await;
        let claimed = instance.claim_one(&subscription).await;
        instance.committed(settles(claimed.lease)).await;
        let next = instance.claim_one(&subscription).await;
        assert_eq!((next.event_id.as_str(), next.lease.attempt), ("a2", 1));
        assert_eq!(followers(&next), ["a3", "a4"]);
    }

    async fn a_settled_lease_settles_no_followers_later(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 3).await;
        let claimed = instance.claim_one(&subscription).await;
        instance.committed(settles(claimed.lease)).await;
        let again = noting(vec![with_followers(&claimed, 2)]);
        assert_eq!(instance.commit_one(again).await, Err(CommitError::LeaseLost));
        assert!(!is_noted(&mut instance).await);
        assert_eq!(instance.claimed_events(&subscription, 1).await, ["a2"]);
    }

    async fn followers_of_a_lost_lease_are_not_settled(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 3).await;
        let claimed = instance.claim_one(&subscription).await;
        platform.advance(LEASE_OVER);
        let next = instance.claim_one(&subscription).await;
        let lost = noting(vec![with_followers(&claimed, 2)]);
        assert_eq!(instance.commit_one(lost).await, Err(CommitError::LeaseLost));
        assert!(!is_noted(&mut instance).await);
        instance.committed(settles(next.lease)).await;
        assert_eq!(instance.claimed_events(&subscription, 1).await, ["a2"]);
    }

    async fn a_late_consumer_settles_followers_if_nobody_came_in_between(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 3).await;
        let claimed = instance.claim_one(&subscription).await;
        platform.advance(LEASE_OVER);
        instance.committed(settles_all([with_followers(&claimed, 2)])).await;
        assert_eq!(instance.status().await.settled, 3);
    }

    async fn what_does_not_wait_behind_a_lease_is_not_settled_with_it(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 2).await;
        publish(&mut instance, "b", 2).await;
        instance.committed(publishes([event("topic", "free")])).await;
        let batch = instance.claim(&subscription, 10).await.deliveries;
        let strangers = [
            batch[1].followers[0].delivery,
            batch[1].lease.delivery,
            batch[2].lease.delivery,
            999,
        ];
        for stranger in strangers {
            for (leader, known) in [(0, Some(batch[0].followers[0].delivery)), (0, None), (2, None)] {
                let mut followers = Vec::from_iter(known);
                followers.push(stranger);
                let lease = batch[leader].lease;
                if followers.contains(&lease.delivery) { continue; }
                let unit = noting(vec![Settlement { lease, followers }]);
                assert_eq!(instance.commit_one(unit).await, Err(CommitError::LeaseLost));
            }
        }
        assert!(!is_noted(&mut instance).await);
        assert_eq!(instance.status().await.settled, 0);
    }

    async fn a_unit_settles_several_deliveries(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 3).await;
        publish(&mut instance, "b", 1).await;
        instance.committed(publishes([event("topic", "free")])).await;
        let batch = instance.claim(&subscription, 10).await.deliveries;
        let all = [with_followers(&batch[0], 1), with_followers(&batch[1], 0), with_followers(&batch[2], 0)];
        instance.committed(noting(all.to_vec())).await;
        assert_eq!(instance.status().await.settled, 4);
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["a3"]);
    }

    async fn a_unit_settles_deliveries_of_several_subscriptions(platform) {
        let mut instance = platform.instance().await;
        publish(&mut instance, "a", 2).await;
        let one = instance.claim_one(&subscription("one", "topic")).await;
        let other = instance.claim_one(&subscription("other", "topic")).await;
        instance.committed(settles_all([with_followers(&one, 1), with_followers(&other, 0)])).await;
        let statuses = instance.subscriptions().await.expect("a report");
        let settled: Vec<_> = statuses.iter().map(|status| status.settled).collect();
        assert_eq!(settled, [2, 1]);
    }

    async fn a_unit_settles_all_or_nothing(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 2).await;
        publish(&mut instance, "b", 1).await;
        let batch = instance.claim(&subscription, 10).await.deliveries;
        let gone = Lease { delivery: 999, attempt: 1 };
        for lost in [
            settlement(gone),
            settlement(Lease { attempt: 9, ..batch[1].lease }),
            vec![Settlement { lease: batch[1].lease, followers: vec![999] }],
        ] {
            for lost_comes_first in [true, false] {
                let mut all = lost.clone();
                all.insert(usize::from(lost_comes_first), with_followers(&batch[0], 1));
                assert_eq!(instance.commit_one(noting(all)).await, Err(CommitError::LeaseLost));
            }
        }
        assert!(!is_noted(&mut instance).await);
        assert_eq!(instance.status().await.settled, 0);
        instance.committed(settles_all([with_followers(&batch[0], 1), with_followers(&batch[1], 0)])).await;
    }

    async fn units_of_one_call_settle_one_after_the_other(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 3).await;
        publish(&mut instance, "b", 2).await;
        let batch = instance.claim(&subscription, 10).await.deliveries;
        let units = vec![
            settles_all([with_followers(&batch[0], 1)]),
            settles_all([with_followers(&batch[0], 2)]),
            settles_all([with_followers(&batch[1], 1)]),
        ];
        let outcomes = instance.commit(units).await;
        assert!(matches!(outcomes[..], [Ok(_), Err(CommitError::LeaseLost), Ok(_)]), "{outcomes:?}");
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["a3"]);
    }

    async fn one_that_was_tried_before_leads_nobody(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 3).await;
        let lease = instance.claim_one(&subscription).await.lease;
        let back = Return { retry_after_ms: Some(0), ..back(lease, "x") };
        instance.release(vec![back]).await;
        let again = instance.claim_one(&subscription).await;
        assert_eq!((again.event_id.as_str(), followers(&again)), ("a1", vec![]));
        instance.committed(settles(again.lease)).await;
        let next = instance.claim_one(&subscription).await;
        assert_eq!((next.event_id.as_str(), followers(&next)), ("a2", vec!["a3"]));
    }

    async fn one_that_was_tried_before_is_no_follower(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 1).await;
        let dead = instance.claim_one(&subscription).await.lease;
        instance.bury(vec![burial(dead, "no")]).await;
        publish(&mut instance, "a", 4).await;
        let second = instance.claim(&subscription, 1).await.deliveries.remove(0);
        assert_eq!(instance.replay(vec![dead.delivery], None).await, Ok(1));
        instance.committed(settles(second.lease)).await;
        let replayed = instance.claim_one(&subscription).await;
        assert_eq!((replayed.event_id.as_str(), followers(&replayed)), ("a1", vec![]));
        instance.committed(settles(replayed.lease)).await;
        assert_eq!(followers(&instance.claim_one(&subscription).await), ["a4"]);
    }

    async fn those_that_were_in_flight_with_a_crash_come_one_at_a_time(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 6).await;
        let claimed = instance.claim(&subscription, 4).await.deliveries.remove(0);
        assert_eq!(followers(&claimed), ["a2", "a3", "a4"]);
        platform.advance(LEASE_OVER);
        for (expected, run_out) in [("a1", true), ("a2", false), ("a3", false), ("a4", false)] {
            let batch = instance.claim(&subscription, 4).await;
            assert_eq!((batch.deliveries.len(), batch.suspect), (1, run_out), "{batch:?}");
            let alone = &batch.deliveries[0];
            assert_eq!((alone.event_id.as_str(), followers(alone)), (expected, vec![]));
            instance.committed(settles(alone.lease)).await;
        }
        let next = instance.claim_one(&subscription).await;
        assert_eq!((next.event_id.as_str(), followers(&next)), ("a5", vec!["a6"]));
    }

    async fn those_behind_a_rejected_one_are_handed_out_together(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 4).await;
        let lease = instance.claim(&subscription, 10).await.deliveries[0].lease;
        assert_eq!(instance.bury(vec![burial(lease, "no")]).await, [Ok(())]);
        let next = &instance.claim(&subscription, 10).await.deliveries[0];
        assert_eq!((next.event_id.as_str(), followers(next)), ("a2", vec!["a3", "a4"]));
    }

    async fn those_behind_a_crashed_one_come_one_at_a_time_whatever_became_of_it(platform) {
        let mut instance = platform.instance().await;
        let subscription = blocking_subscription("service", "topic");
        for key in ["a", "b"] {
            publish(&mut instance, key, 3).await;
        }
        for key in ["a", "b"] {
            let claimed = instance.claim(&subscription, 10).await.deliveries;
            if key == "a" {
                assert_eq!(claimed.iter().map(|one| one.followers.len()).sum::<usize>(), 4);
                platform.advance(LEASE_OVER);
            }
        }
        // Both have run out, and each comes alone.
        let mut heads = Vec::new();
        for _ in 0..2 {
            platform.advance(LEASE_OVER);
            let head = instance.claim_next(&subscription, 10).await.deliveries.remove(0);
            assert_eq!(followers(&head), Vec::<&str>::new());
            instance.bury(vec![burial(head.lease, "poison")]).await;
            heads.push(head);
        }
        assert_eq!(instance.discard(vec![heads[0].lease.delivery]).await, Ok(1));
        assert_eq!(instance.replay(vec![heads[1].lease.delivery], None).await, Ok(1));
        for _ in 0..6 {
            for delivery in instance.claim(&subscription, 10).await.deliveries {
                assert_eq!(followers(&delivery), Vec::<&str>::new());
                instance.committed(settles(delivery.lease)).await;
            }
        }
        assert_eq!(instance.status().await.pending, 0);
    }

    async fn a_poisonous_follower_dies_alone(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        publish(&mut instance, "a", 4).await;
        let mut handled = Vec::new();
        for _ in 0..20 {
            let Some(claimed) = instance.claim_next(&subscription, 10).await.deliveries.pop() else {
                break;
            };
            let mut ids = vec![claimed.event_id.as_str()];
            ids.extend(followers(&claimed));
            if ids.contains(&"a3") {
                // The guest is gone, and with it what it had claimed.
                platform.advance(LEASE_OVER);
                continue;
            }
            handled.extend(ids.into_iter().map(str::to_owned));
            instance.committed(settles_all([with_followers(&claimed, 10)])).await;
        }
        assert_eq!(handled, ["a1", "a2", "a4"]);
        let status = instance.status().await;
        assert_eq!((status.dead, status.settled), (1, 3));
    }

    async fn followers_end_before_one_that_is_not_due(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        publish(&mut instance, "a", 2).await;
        let mut later = keyed("topic", "later", "a");
        later.not_before_ms = Some(platform.now_ms() + 60_000);
        instance.committed(publishes([later, keyed("topic", "behind", "a")])).await;
        let claimed = instance.claim_one(&subscription).await;
        assert_eq!(followers(&claimed), ["a2"]);
        instance.committed(settles_all([with_followers(&claimed, 1)])).await;
        assert_eq!(instance.claim(&subscription, 10).await.deliveries, []);
        platform.advance(Duration::from_secs(61));
        let later = instance.claim_one(&subscription).await;
        assert_eq!((later.event_id.as_str(), followers(&later)), ("later", vec!["behind"]));
    }

    async fn heavy_followers_are_left_to_the_next_claim(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        for number in 0..100 {
            let mut heavy = keyed("topic", &number.to_string(), "a");
            heavy.envelope = vec![7; 256 << 10];
            instance.committed(publishes([heavy])).await;
        }
        let mut handled = 0;
        for _ in 0..3 {
            let claimed = instance.claim(&subscription, 1000).await.deliveries.remove(0);
            assert!(claimed.followers.len() < 99);
            handled += 1 + claimed.followers.len();
            instance.committed(settles_all([with_followers(&claimed, 99)])).await;
            if handled == 100 { return; }
        }
        panic!("{handled} of 100");
    }

    async fn a_hot_key_is_handled_in_order(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        for part in 0..3 {
            let events = (0..1000).map(|number| keyed("topic", &format!("{part}-{number:03}"), "hot"));
            instance.committed(publishes(events)).await;
        }
        let mut handled = Vec::new();
        for _ in 0..6 {
            let claimed = instance.claim(&subscription, 500).await.deliveries.remove(0);
            handled.push(claimed.event_id.clone());
            handled.extend(followers(&claimed).into_iter().map(str::to_owned));
            instance.committed(settles_all([with_followers(&claimed, 499)])).await;
        }
        assert_eq!(handled.len(), 3000);
        assert!(handled.is_sorted());
    }
}
