//! Pauses: begun by hand, ended by hand or by time.

use std::time::Duration;

use deliveries::Batch;
use emporium_tests::{conformance, platform::*};

/// Longer than a pause of a minute.
const PAUSE_OVER: Duration = Duration::from_secs(61);

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
}
