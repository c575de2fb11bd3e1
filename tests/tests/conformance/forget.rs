//! Subscriptions that are forgotten: nothing of theirs is left, and their leases are
//! lost.

use emporium_tests::{conformance, platform::*};
use journal::CommitError;

conformance! {
    async fn a_forgotten_subscription_is_not_reported(platform) {
        let mut instance = platform.instance().await;
        let nobody = instance.forget_one("service".into(), "topic".into()).await;
        assert_eq!(nobody, Ok(false));
        let (one, other) = (subscription("one", "topic"), subscription("other", "topic"));
        instance.claim(&one, 1).await;
        instance.claim(&other, 1).await;
        instance.forget(&one).await;
        assert_eq!(instance.status().await.subscription, other);
        let again = instance.forget_one("one".into(), "topic".into()).await;
        assert_eq!(again, Ok(false));
    }

    async fn its_leases_are_lost(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes(["1", "2", "3"].map(|id| keyed("topic", id, "key")))).await;
        instance.committed(publishes([event("topic", "free")])).await;
        let batch = instance.claim(&subscription, 10).await.deliveries;
        instance.forget(&subscription).await;
        let lost = Err(deliveries::Error::LeaseLost);
        for delivery in &batch {
            let lease = delivery.lease;
            for followers in 0..=delivery.followers.len() {
                let unit = settles_all([with_followers(delivery, followers)]);
                assert_eq!(instance.commit_one(unit).await, Err(CommitError::LeaseLost));
            }
            assert_eq!(instance.extend(vec![lease], LEASE_MS).await, std::slice::from_ref(&lost));
            assert!(instance.release(vec![back(lease, "x")]).await[0].is_err());
            assert_eq!(instance.bury(vec![burial(lease, "x")]).await, std::slice::from_ref(&lost));
        }
        assert_eq!(instance.subscriptions().await, Ok(vec![]));
    }

    async fn its_dead_letters_are_gone(platform) {
        let mut instance = platform.instance().await;
        let subscription = blocking_subscription("service", "topic");
        instance.committed(publishes(["1", "2"].map(|id| keyed("topic", id, "key")))).await;
        let lease = instance.claim_one(&subscription).await.lease;
        instance.bury(vec![burial(lease, "no")]).await;
        instance.forget(&subscription).await;
        let letters = instance.list_dead(nothing_filtered(), 10, None).await.expect("letters");
        assert_eq!(letters.dead_letters, []);
        assert_eq!(instance.get_dead(lease.delivery).await, Ok(None));
        assert_eq!(instance.replay(vec![lease.delivery], None).await, Ok(0));
        assert_eq!(instance.discard(vec![lease.delivery]).await, Ok(0));
    }

    async fn a_service_that_claims_again_begins_anew(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes(["1", "2", "3"].map(|id| keyed("topic", id, "key")))).await;
        let settled = instance.claim_one(&subscription).await.lease;
        instance.committed(settles(settled)).await;
        let held = instance.claim_one(&subscription).await.lease;
        instance.pause(&subscription, None).await;
        instance.forget(&subscription).await;
        let first = instance.claim_one(&subscription).await;
        assert_eq!((first.event_id.as_str(), first.lease.attempt), ("1", 1));
        assert_eq!(first.followers.len(), 2);
        let status = instance.status().await;
        assert_eq!((status.settled, status.dead, status.paused), (0, 0, None));
        assert_eq!(status.latency.counts.iter().sum::<u64>(), 0);
        assert_eq!(instance.commit_one(settles(held)).await, Err(CommitError::LeaseLost));
        instance.sweep_all(NOTHING_KEPT).await;
        instance.committed(settles_all([with_followers(&first, 2)])).await;
        assert_eq!(instance.status().await.settled, 3);
    }

    async fn what_it_was_owed_is_swept_step_by_step(platform) {
        let mut instance = platform.instance().await;
        let (gone, stays) = (subscription("gone", "topic"), subscription("stays", "topic"));
        instance.claim(&gone, 1).await;
        instance.claim(&stays, 1).await;
        for part in 0..6 {
            let ids = (0..1000).map(|number| format!("{part}-{number}"));
            let events = ids.map(|id| match part % 2 {
                0 => event("topic", &id),
                _ => keyed("topic", &id, "key"),
            });
            instance.committed(publishes(events)).await;
        }
        let batch = instance.claim(&gone, 10).await.deliveries;
        let burials = batch.iter().map(|delivery| burial(delivery.lease, "no"));
        instance.bury(burials.collect()).await;
        instance.forget(&gone).await;
        let (mut deliveries, mut steps) = (0, 0);
        loop {
            let swept = instance.sweep(NOTHING_KEPT).await.expect("a sweep");
            assert_eq!(swept.events, 0, "they are owed to the other one");
            deliveries += swept.deliveries;
            steps += 1;
            if !swept.more { break; }
        }
        assert_eq!(deliveries, 6000);
        assert!(steps > 1);
        assert_eq!(instance.status().await.pending, 6000);
    }

    async fn events_that_only_it_was_owed_are_swept(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "a"), keyed("topic", "b", "key")])).await;
        instance.claim(&subscription, 1).await;
        assert_eq!(instance.sweep_all(NOTHING_KEPT).await.events, 0);
        instance.forget(&subscription).await;
        let events = instance.events(None, 10).await.expect("events");
        assert!(events.iter().all(|event| event.unsettled == 0), "{events:?}");
        let swept = [instance.sweep_all(NOTHING_KEPT).await, instance.sweep_all(NOTHING_KEPT).await];
        assert_eq!(swept.iter().map(|swept| swept.events).sum::<u64>(), 2);
    }

    async fn nothing_of_it_falls_due(platform) {
        let mut instance = platform.instance().await;
        let (gone, stays) = (subscription("gone", "topic"), subscription("stays", "topic"));
        instance.claim(&stays, 1).await;
        instance.claim(&gone, 1).await;
        instance.committed(publishes([event("topic", "a")])).await;
        let lease = instance.claim_one(&stays).await.lease;
        instance.committed(settles(lease)).await;
        assert_eq!(instance.wake_due().await, Ok(vec!["topic".into()]));
        instance.forget(&gone).await;
        let due = instance.due().await.expect("woken");
        assert_eq!((due.topics, due.next_in_ms), (vec![], None));
    }
}
