//! A clock that was set back: what was due stays due, what lasts lasts no longer.

use std::time::Duration;

use emporium_tests::{conformance, platform::*};

const HOUR: Duration = Duration::from_secs(3600);

conformance! {
    async fn what_was_due_stays_due(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        let mut later = event("topic", "later");
        later.not_before_ms = Some(platform.now_ms() + 1000);
        instance.committed(publishes([event("topic", "now"), later])).await;
        instance.committed(publishes(["1", "2"].map(|id| keyed("topic", id, "key")))).await;
        platform.advance(Duration::from_secs(10));
        instance.wake_due().await.expect("woken");
        platform.set_back(HOUR);
        assert_eq!(instance.wake_due().await, Ok(vec!["topic".into()]));
        let batch = instance.claim(&subscription, 10).await.deliveries;
        let mut ids: Vec<_> = batch.iter().map(|delivery| delivery.event_id.as_str()).collect();
        ids.sort();
        assert_eq!(ids, ["1", "later", "now"]);
        let first = batch.iter().find(|delivery| delivery.event_id == "1").expect("claimed");
        instance.committed(settles(first.lease)).await;
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["2"]);
    }

    async fn a_lease_lasts_no_hour_longer(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "a")])).await;
        instance.claim_one(&subscription).await;
        instance.wake_due().await.expect("woken");
        platform.set_back(HOUR);
        instance.wake_due().await.expect("woken");
        assert_eq!(instance.claim(&subscription, 1).await.deliveries, []);
        platform.advance(LEASE_OVER);
        assert_eq!(instance.claimed_events(&subscription, 1).await, ["a"]);
    }

    async fn a_retry_waits_no_hour_longer(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "a")])).await;
        let lease = instance.claim_one(&subscription).await.lease;
        instance.release(vec![back(lease, "x")]).await;
        instance.wake_due().await.expect("woken");
        platform.set_back(HOUR);
        instance.wake_due().await.expect("woken");
        platform.advance(BACKOFF_OVER);
        assert_eq!(instance.claimed_events(&subscription, 1).await, ["a"]);
    }

    async fn a_pause_lasts_no_hour_longer(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        instance.pause(&subscription, Some(60_000)).await;
        instance.wake_due().await.expect("woken");
        platform.set_back(HOUR);
        instance.wake_due().await.expect("woken");
        assert!(instance.status().await.paused.is_some());
        platform.advance(Duration::from_secs(61));
        assert!(instance.status().await.paused.is_none());
    }

    async fn a_worker_is_not_missed_an_hour_later(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.announce(worker("silent")).await;
        instance.committed(publishes([event("topic", "a")])).await;
        instance.claim_as("silent", &subscription, 1).await;
        instance.wake_due().await.expect("woken");
        platform.set_back(HOUR);
        instance.wake_due().await.expect("woken");
        platform.advance(Duration::from_secs(11));
        assert_eq!(instance.wake_due().await, Ok(vec!["topic".into()]));
        assert_eq!(instance.list_workers().await, Ok(vec![]));
        assert_eq!(instance.claimed_events(&subscription, 1).await, ["a"]);
    }

    async fn what_was_asked_for_at_a_time_waits_for_it(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        let mut later = event("topic", "later");
        later.not_before_ms = Some(platform.now_ms() + 60_000);
        instance.committed(publishes([later])).await;
        instance.wake_due().await.expect("woken");
        platform.set_back(HOUR);
        instance.wake_due().await.expect("woken");
        platform.advance(Duration::from_secs(61));
        assert_eq!(instance.claim(&subscription, 1).await.deliveries, []);
        platform.advance(HOUR);
        assert_eq!(instance.claimed_events(&subscription, 1).await, ["later"]);
    }

    async fn what_is_published_afterwards_comes_through(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "before")])).await;
        instance.wake_due().await.expect("woken");
        platform.set_back(HOUR);
        for _ in 0..2 {
            instance.wake_due().await.expect("woken");
        }
        instance.committed(publishes([event("topic", "after")])).await;
        let mut claimed = instance.claimed_events(&subscription, 10).await;
        claimed.sort();
        assert_eq!(claimed, ["after", "before"]);
    }
}
