//! Wakes: one when a topic comes to have work, none for a burst.

use std::time::Duration;

use emporium_tests::{conformance, platform::*};

/// How many wakes of a topic have been sent so far.
async fn count(platform: &Platform, wakes: &mut Wakes, topic: &str) -> usize {
    // What is published now arrives behind everything before it.
    platform.publish(topic, b"the end").await;
    let mut count = 0;
    while wakes.next().await.expect("the channel is open") != b"the end" {
        count += 1;
    }
    count
}

conformance! {
    async fn a_topic_without_subscriptions_is_woken_each_time(platform) {
        let mut instance = platform.instance().await;
        let mut wakes = platform.wakes("topic").await;
        for expected in [1, 1] {
            instance.committed(publishes([event("topic", &rand::random::<u64>().to_string())])).await;
            assert_eq!(count(platform, &mut wakes, "topic").await, expected);
        }
    }

    async fn a_burst_costs_one_wake(platform) {
        let mut instance = platform.instance().await;
        instance.claim(&subscription("service", "topic"), 1).await;
        let mut wakes = platform.wakes("topic").await;
        for id in ["a", "b", "c"] {
            instance.committed(publishes([event("topic", id)])).await;
        }
        let units = ["d", "e"].map(|id| publishes([event("topic", id)]));
        instance.commit(units.to_vec()).await;
        assert_eq!(count(platform, &mut wakes, "topic").await, 1);
    }

    async fn a_topic_whose_work_is_under_way_is_woken_again(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "a")])).await;
        instance.claim_one(&subscription).await;
        let mut wakes = platform.wakes("topic").await;
        instance.committed(publishes([event("topic", "b")])).await;
        assert_eq!(count(platform, &mut wakes, "topic").await, 1);
    }

    async fn a_service_that_is_behind_does_not_keep_another_asleep(platform) {
        let mut instance = platform.instance().await;
        let (behind, idle) = (subscription("behind", "topic"), subscription("idle", "topic"));
        instance.claim(&behind, 1).await;
        instance.committed(publishes([event("topic", "a")])).await;
        instance.claim_one(&idle).await;
        let mut wakes = platform.wakes("topic").await;
        instance.committed(publishes([event("topic", "b")])).await;
        assert_eq!(count(platform, &mut wakes, "topic").await, 1);
    }

    async fn only_topics_with_something_due_are_woken(platform) {
        let mut instance = platform.instance().await;
        instance.claim(&subscription("service", "topic"), 1).await;
        let mut wakes = platform.wakes("topic").await;
        let mut later = event("topic", "later");
        later.not_before_ms = Some(platform.now_ms() + 60_000);
        instance.committed(publishes([later, event("other", "o")])).await;
        let mut failing = publishes([event("topic", "failing")]);
        failing.writes = vec![journal::Write::Put(put("INVALID", "a", ""))];
        instance.commit_one(failing).await.expect_err("refused");
        assert_eq!(count(platform, &mut wakes, "topic").await, 0);
    }

    async fn waking_by_hand_wakes(platform) {
        let mut instance = platform.instance().await;
        let mut wakes = platform.wakes("topic").await;
        assert_eq!(instance.wake("topic".into()).await, Ok(()));
        assert_eq!(count(platform, &mut wakes, "topic").await, 1);
    }

    async fn a_replay_wakes_its_topics(platform) {
        let mut instance = platform.instance().await;
        instance.committed(publishes([event("topic", "a")])).await;
        let lease = instance.claim_one(&subscription("service", "topic")).await.lease;
        instance.bury(vec![burial(lease, "no")]).await;
        let mut wakes = platform.wakes("topic").await;
        instance.replay(vec![lease.delivery], None).await.expect("a replay");
        instance.replay(vec![lease.delivery], None).await.expect("nothing to replay");
        assert_eq!(count(platform, &mut wakes, "topic").await, 1);
    }

    async fn the_ticker_finds_every_topic_with_due_work(platform) {
        let mut instance = platform.instance().await;
        assert_eq!(instance.wake_due().await, Ok(vec![]));
        let subscriptions = ["idle", "leased", "retried", "later"].map(|topic| subscription("service", topic));
        instance.committed(publishes(["leased", "retried"].map(|topic| event(topic, topic)))).await;
        let mut later = event("later", "l");
        later.not_before_ms = Some(platform.now_ms() + 30_000);
        instance.committed(publishes([later, event("unknown", "u")])).await;
        let mut leases = Vec::new();
        for subscription in &subscriptions {
            leases.extend(instance.claim(subscription, 1).await.deliveries);
        }
        instance.release(vec![back(leases[1].lease, "x")]).await;
        assert_eq!(instance.wake_due().await, Ok(vec!["unknown".into()]));
        let mut wakes = platform.wakes("leased").await;
        platform.advance(LEASE_OVER);
        let due = ["later", "leased", "retried", "unknown"].map(Into::into);
        assert_eq!(instance.wake_due().await, Ok(due.to_vec()));
        assert_eq!(count(platform, &mut wakes, "leased").await, 1);
    }

    // At d15352b each publication of a key that was busy woke.
    async fn an_event_that_waits_for_its_key_wakes_nobody(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([keyed("topic", "1", "key")])).await;
        instance.claim_one(&subscription).await;
        let mut wakes = platform.wakes("topic").await;
        for id in ["2", "3", "4"] {
            instance.committed(publishes([keyed("topic", id, "key")])).await;
        }
        assert_eq!(count(platform, &mut wakes, "topic").await, 0);
        instance.committed(publishes([keyed("topic", "5", "key"), keyed("topic", "6", "other")])).await;
        assert_eq!(count(platform, &mut wakes, "topic").await, 1);
    }

    // A consumer looks again when something was left, and is woken when nothing was.
    async fn an_event_is_found_or_woken_for_whenever_it_is_published(platform) {
        let mut instance = platform.instance().await;
        let mut publisher = platform.instance().await;
        for moment in 0..4 {
            let topic = format!("topic-{moment}");
            let subscription = subscription("service", &topic);
            let late = publishes([event(&topic, &format!("late-{moment}"))]);
            instance.claim(&subscription, 1).await;
            instance.committed(publishes([event(&topic, &format!("early-{moment}"))])).await;
            let mut wakes = platform.wakes(&topic).await;
            if moment == 0 { publisher.committed(late.clone()).await; }
            let batch = instance.claim(&subscription, 1).await;
            if moment == 1 { publisher.committed(late.clone()).await; }
            instance.committed(settles(batch.deliveries[0].lease)).await;
            if moment == 2 { publisher.committed(late.clone()).await; }
            let mut found = batch.next_due_in_ms == Some(0);
            if !found {
                let batch = instance.claim(&subscription, 1).await;
                found = !batch.deliveries.is_empty();
            }
            if moment == 3 { publisher.committed(late).await; }
            let woken = if moment == 0 { 0 } else { count(platform, &mut wakes, &topic).await };
            assert!(found || woken > 0, "moment {moment}");
        }
    }

    async fn the_ticker_is_told_when_something_falls_due(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        assert_eq!(instance.due().await.expect("woken").next_in_ms, None);
        let next = async |instance: &mut Instance| {
            let due = instance.due().await.expect("woken");
            assert_eq!(due.topics, Vec::<String>::new());
            due.next_in_ms.expect("something falls due")
        };
        let mut later = event("topic", "later");
        later.not_before_ms = Some(platform.now_ms() + 3_600_000);
        instance.committed(publishes([later, event("topic", "now")])).await;
        let lease = instance.claim_one(&subscription).await.lease;
        let lease_ends = next(&mut instance).await;
        assert!((50_000..=60_000).contains(&lease_ends), "{lease_ends}");
        instance.release(vec![back(lease, "x")]).await;
        let retry = next(&mut instance).await;
        assert!((500..=1250).contains(&retry), "{retry}");
        platform.advance(BACKOFF_OVER);
        instance.pause(&subscription, Some(10_000)).await;
        let pause_ends = next(&mut instance).await;
        assert!((9_000..=10_000).contains(&pause_ends), "{pause_ends}");
        platform.advance(BACKOFF_OVER);
        let lease = instance.claim_one(&subscription).await.lease;
        instance.committed(settles(lease)).await;
        let delayed = next(&mut instance).await;
        assert!((3_300_000..3_500_000).contains(&delayed), "{delayed}");
    }

    async fn commits_do_without_redis(platform) {
        for redis in [Redis::Unset, Redis::OutOfReach] {
            let mut elsewhere = platform.elsewhere_with(redis).await;
            let instance = &mut elsewhere.instance;
            for _ in 0..2 {
                let id = rand::random::<u64>().to_string();
                instance.committed(publishes([event("topic", &id)])).await;
            }
            assert_eq!(instance.wake_due().await, Ok(vec!["topic".into()]));
            let refused = instance.wake("topic".into()).await;
            assert!(matches!(refused, Err(deliveries::Error::Unavailable(_))), "{refused:?}");
        }
    }

    async fn wakes_are_lost_without_harm(platform) {
        let mut elsewhere = platform.elsewhere_with(Redis::Unset).await;
        elsewhere.instance.committed(publishes([event("topic", "a")])).await;
        platform.advance(Duration::from_secs(1));
        let mut instance = platform.instance().await;
        let mut wakes = platform.wakes("topic").await;
        instance.wake_due().await.expect("woken");
        assert_eq!(count(platform, &mut wakes, "topic").await, 1);
    }

    async fn a_wake_says_where_in_a_trace_it_was_caused(platform) {
        let mut instance = platform.instance().await;
        let mut wakes = platform.wakes("topic").await;
        let trace = |digit: &str| format!("00-{}-{}-01", digit.repeat(32), digit.repeat(16));
        let traced = |id: &str, digit: &str| journal::Event { traceparent: Some(trace(digit)), ..event("topic", id) };
        instance.claim(&subscription("service", "topic"), 1).await;
        let mut later = traced("later", "a");
        later.not_before_ms = Some(platform.now_ms() + 60_000);
        instance.committed(publishes([later, traced("first", "b"), traced("second", "c")])).await;
        assert_eq!(wakes.next().await.expect("a wake"), trace("b").as_bytes());
        instance.claim(&subscription("service", "topic"), 10).await;
        instance.committed(publishes([event("topic", "untraced")])).await;
        assert_eq!(wakes.next().await.expect("a wake"), b"");
        assert_eq!(instance.wake("topic".into()).await, Ok(()));
        assert_eq!(wakes.next().await.expect("a wake"), b"");
    }

    async fn a_place_in_a_trace_must_be_well_formed(platform) {
        let mut instance = platform.instance().await;
        for traceparent in ["", "00-1-2-3", "garbage\r\n"] {
            let traced = journal::Event { traceparent: Some(traceparent.into()), ..event("topic", "e1") };
            let refused = instance.commit_one(publishes([traced])).await;
            assert!(matches!(refused, Err(journal::CommitError::InvalidUnit(_))), "{refused:?}");
        }
    }
}
