//! Pauses: begun by hand or by deaths in a row, ended by hand or by time.

use std::time::Duration;

use deliveries::{Batch, Fate, Subscription};
use emporium_tests::{conformance, platform::*};

/// Longer than the pause of `careful_subscription`.
const PAUSE_OVER: Duration = Duration::from_secs(61);

/// Claim one delivery and bury it.
async fn die(instance: &mut Instance, subscription: &Subscription) {
    let batch = instance.claim(subscription, 1).await.deliveries;
    assert_eq!(batch.len(), 1, "there is something to bury");
    let buried = instance.bury(vec![burial(batch[0].lease, "no")]).await;
    assert_eq!(buried, [Ok(())]);
}

/// Claim one delivery and settle it.
async fn succeed(instance: &mut Instance, subscription: &Subscription) {
    let batch = instance.claim(subscription, 1).await.deliveries;
    assert_eq!(batch.len(), 1, "there is something to settle");
    instance.committed(settles(batch[0].lease)).await;
}

async fn is_paused(instance: &mut Instance) -> bool {
    instance.status().await.paused.is_some()
}

conformance! {
    async fn a_paused_subscription_hands_out_nothing(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes(["a", "b"].map(|id| event("topic", id)))).await;
        let lease = instance.claim(&subscription, 1).await.deliveries[0].lease;
        instance.pause(&subscription, None).await;
        let nothing = Batch { deliveries: vec![], suspect: false, next_due_in_ms: None };
        assert_eq!(instance.claim(&subscription, 10).await, nothing);
        instance.committed(settles(lease)).await;
        assert!(instance.resume(&subscription).await);
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["b"]);
    }

    async fn a_pause_concerns_one_subscription(platform) {
        let mut instance = platform.instance().await;
        let (paused, other) = (subscription("paused", "topic"), subscription("other", "topic"));
        instance.claim(&paused, 1).await;
        instance.pause(&paused, None).await;
        instance.committed(publishes([event("topic", "a")])).await;
        assert_eq!(instance.claim(&paused, 1).await.deliveries, []);
        assert_eq!(instance.claimed_events(&other, 1).await, ["a"]);
    }

    async fn another_process_respects_a_pause(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        let mut elsewhere = platform.elsewhere().await;
        elsewhere.instance.claim(&subscription, 1).await;
        instance.pause(&subscription, None).await;
        instance.committed(publishes([event("topic", "a")])).await;
        assert_eq!(elsewhere.instance.claim(&subscription, 1).await.deliveries, []);
    }

    async fn only_a_subscription_that_exists_can_be_paused(platform) {
        let mut instance = platform.instance().await;
        let nobody = ("nobody".to_owned(), "topic".to_owned());
        assert_eq!(instance.pause_for(nobody.0.clone(), nobody.1.clone(), None).await, Ok(false));
        assert_eq!(instance.resume_one(nobody.0, nobody.1).await, Ok(false));
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        assert!(!instance.resume(&subscription).await);
        instance.pause(&subscription, None).await;
        assert!(instance.resume(&subscription).await);
        assert!(!instance.resume(&subscription).await);
    }

    async fn a_timed_pause_ends_by_itself(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        instance.committed(publishes([event("topic", "a")])).await;
        instance.pause(&subscription, Some(60_000)).await;
        let batch = instance.claim(&subscription, 1).await;
        assert_eq!(batch.deliveries, []);
        let wait = batch.next_due_in_ms.expect("an end");
        assert!((50_000..=60_000).contains(&wait), "{wait}");
        platform.advance(PAUSE_OVER);
        assert!(!is_paused(&mut instance).await);
        assert!(!instance.resume(&subscription).await);
        assert_eq!(instance.claimed_events(&subscription, 1).await, ["a"]);
    }

    async fn the_latest_pause_decides_when_it_ends(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        instance.pause(&subscription, Some(10_000)).await;
        instance.pause(&subscription, None).await;
        platform.advance(PAUSE_OVER);
        assert!(is_paused(&mut instance).await);
        instance.pause(&subscription, Some(10_000)).await;
        platform.advance(Duration::from_secs(11));
        assert!(!is_paused(&mut instance).await);
    }

    async fn a_pause_is_reported(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        assert_eq!(instance.status().await.paused, None);
        let now = platform.now_ms();
        instance.pause(&subscription, Some(60_000)).await;
        let paused = instance.status().await.paused.expect("a pause");
        assert!((now..now + 10_000).contains(&paused.since_ms), "{paused:?}");
        assert_eq!(paused.until_ms, Some(paused.since_ms + 60_000));
        assert!(!paused.reason.is_empty());
        instance.pause(&subscription, None).await;
        assert_eq!(instance.status().await.paused.expect("a pause").until_ms, None);
    }

    async fn a_resumed_topic_is_woken(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        instance.pause(&subscription, None).await;
        instance.committed(publishes([event("topic", "a")])).await;
        let mut wakes = platform.wakes("topic").await;
        assert!(instance.resume(&subscription).await);
        assert_eq!(wakes.next().await.expect("a wake"), b"");
    }

    async fn what_is_paused_is_not_due(platform) {
        let mut instance = platform.instance().await;
        let (one, other) = (subscription("one", "topic"), subscription("other", "topic"));
        instance.claim(&one, 1).await;
        instance.committed(publishes([event("topic", "a")])).await;
        instance.pause(&one, Some(60_000)).await;
        assert_eq!(instance.wake_due().await, Ok(vec![]));
        instance.claim(&other, 1).await;
        platform.advance(PAUSE_OVER);
        assert_eq!(instance.wake_due().await, Ok(vec!["topic".into()]));
    }

    async fn deaths_in_a_row_pause_a_careful_subscription(platform) {
        let mut instance = platform.instance().await;
        let careful = careful_subscription("service", "topic", 3);
        instance.committed(publishes((0..5).map(|number| event("topic", &number.to_string())))).await;
        for _ in 0..2 {
            die(&mut instance, &careful).await;
            assert!(!is_paused(&mut instance).await);
        }
        die(&mut instance, &careful).await;
        let paused = instance.status().await.paused.expect("a pause");
        assert_eq!(paused.until_ms, Some(paused.since_ms + 60_000));
        assert!(paused.reason.contains('3'), "{paused:?}");
        assert_eq!(instance.claim(&careful, 1).await.deliveries, []);
        platform.advance(PAUSE_OVER);
        assert_eq!(instance.claim(&careful, 10).await.deliveries.len(), 2);
    }

    async fn deaths_in_one_call_count_each(platform) {
        let mut instance = platform.instance().await;
        let careful = careful_subscription("service", "topic", 3);
        instance.committed(publishes((0..4).map(|number| event("topic", &number.to_string())))).await;
        let batch = instance.claim(&careful, 3).await.deliveries;
        let burials = batch.iter().map(|delivery| burial(delivery.lease, "no"));
        instance.bury(burials.collect()).await;
        assert!(is_paused(&mut instance).await);
    }

    async fn attempts_that_fail_are_no_deaths(platform) {
        let mut instance = platform.instance().await;
        let mut careful = careful_subscription("service", "topic", 1);
        careful.policy.max_attempts = 2;
        instance.committed(publishes([event("topic", "a")])).await;
        let lease = instance.claim_one(&careful).await.lease;
        assert!(matches!(instance.release(vec![back(lease, "x")]).await[..], [Ok(Fate::RetriedAtMs(_))]));
        assert!(!is_paused(&mut instance).await);
        platform.advance(BACKOFF_OVER);
        let lease = instance.claim_one(&careful).await.lease;
        assert_eq!(instance.release(vec![back(lease, "x")]).await, [Ok(Fate::Dead)]);
        assert!(is_paused(&mut instance).await);
    }

    async fn a_success_begins_a_new_row(platform) {
        let mut instance = platform.instance().await;
        let careful = careful_subscription("service", "topic", 2);
        instance.committed(publishes((0..9).map(|number| event("topic", &number.to_string())))).await;
        for _ in 0..3 {
            die(&mut instance, &careful).await;
            succeed(&mut instance, &careful).await;
        }
        assert!(!is_paused(&mut instance).await);
    }

    async fn the_next_death_after_a_pause_begins_another(platform) {
        let mut instance = platform.instance().await;
        let careful = careful_subscription("service", "topic", 2);
        instance.committed(publishes((0..9).map(|number| event("topic", &number.to_string())))).await;
        die(&mut instance, &careful).await;
        die(&mut instance, &careful).await;
        platform.advance(PAUSE_OVER);
        die(&mut instance, &careful).await;
        assert!(is_paused(&mut instance).await);
        platform.advance(PAUSE_OVER);
        succeed(&mut instance, &careful).await;
        die(&mut instance, &careful).await;
        assert!(!is_paused(&mut instance).await);
        die(&mut instance, &careful).await;
        assert!(is_paused(&mut instance).await);
    }

    async fn deaths_do_not_shorten_a_pause_by_hand(platform) {
        let mut instance = platform.instance().await;
        let careful = careful_subscription("service", "topic", 1);
        instance.committed(publishes([event("topic", "a")])).await;
        let lease = instance.claim_one(&careful).await.lease;
        instance.pause(&careful, None).await;
        instance.bury(vec![burial(lease, "no")]).await;
        assert_eq!(instance.status().await.paused.expect("a pause").until_ms, None);
    }

    async fn crashes_pause_a_careful_subscription(platform) {
        let mut instance = platform.instance().await;
        let mut careful = careful_subscription("service", "topic", 2);
        careful.policy.max_attempts = 1;
        instance.committed(publishes((0..4).map(|number| event("topic", &number.to_string())))).await;
        assert_eq!(instance.claim(&careful, 4).await.deliveries.len(), 4);
        platform.advance(LEASE_OVER);
        let batch = instance.claim(&careful, 4).await;
        assert_eq!(batch.deliveries, []);
        assert!(batch.next_due_in_ms.is_some_and(|wait| wait > 10_000), "{batch:?}");
        let status = instance.status().await;
        assert_eq!((status.dead, status.pending), (2, 2));
        assert!(status.paused.is_some());
    }

    async fn a_careless_subscription_never_pauses(platform) {
        let mut instance = platform.instance().await;
        let careless = careful_subscription("service", "topic", 0);
        instance.committed(publishes((0..9).map(|number| event("topic", &number.to_string())))).await;
        for _ in 0..9 {
            die(&mut instance, &careless).await;
        }
        assert!(!is_paused(&mut instance).await);
    }
}
