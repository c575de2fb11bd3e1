//! Policies: the latest claim decides.

use emporium_tests::{conformance, platform::*};

conformance! {
    async fn a_policy_is_reported_as_it_was_given(platform) {
        let mut instance = platform.instance().await;
        let first = subscription("service", "topic");
        instance.claim(&first, 1).await;
        assert_eq!(instance.status().await.subscription, first);
        let mut second = blocking_subscription("service", "topic");
        second.policy.max_attempts = 7;
        second.policy.backoff_cap_ms = 5;
        second.policy.during_retry = deliveries::DuringRetry::Proceed;
        instance.claim(&second, 1).await;
        assert_eq!(instance.status().await.subscription, second);
    }

    async fn fewer_attempts_count_for_what_is_leased(platform) {
        let mut instance = platform.instance().await;
        let mut subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "e1")])).await;
        let lease = instance.claim_one(&subscription).await.lease;
        subscription.policy.max_attempts = 1;
        instance.claim(&subscription, 1).await;
        assert_eq!(instance.release(vec![back(lease, "x")]).await, [Ok(deliveries::Fate::Dead)]);
    }

    async fn those_that_waited_go_on_when_death_no_longer_blocks(platform) {
        let mut instance = platform.instance().await;
        let blocking = blocking_subscription("service", "topic");
        instance.committed(publishes(["1", "2", "3"].map(|id| keyed("topic", id, "key")))).await;
        let lease = instance.claim_one(&blocking).await.lease;
        instance.bury(vec![burial(lease, "no")]).await;
        assert_eq!(instance.claim(&blocking, 10).await.deliveries, []);
        let proceeding = subscription("service", "topic");
        assert_eq!(instance.claimed_events(&proceeding, 10).await, ["2"]);
        assert_eq!(instance.replay(vec![lease.delivery], None).await, Ok(1));
        assert_eq!(instance.claim(&proceeding, 10).await.deliveries, []);
    }

    async fn a_death_that_did_not_block_does_not_block_later(platform) {
        let mut instance = platform.instance().await;
        instance.committed(publishes(["1", "2"].map(|id| keyed("topic", id, "key")))).await;
        let proceeding = subscription("service", "topic");
        let lease = instance.claim_one(&proceeding).await.lease;
        instance.bury(vec![burial(lease, "no")]).await;
        let blocking = blocking_subscription("service", "topic");
        assert_eq!(instance.claimed_events(&blocking, 10).await, ["2"]);
    }

    async fn those_behind_a_retry_go_on_when_it_no_longer_blocks(platform) {
        let mut instance = platform.instance().await;
        let blocking = subscription("service", "topic");
        instance.committed(publishes(["1", "2"].map(|id| keyed("topic", id, "key")))).await;
        let lease = instance.claim_one(&blocking).await.lease;
        let later = deliveries::Return { retry_after_ms: Some(3_600_000), ..back(lease, "x") };
        instance.release(vec![later]).await;
        assert_eq!(instance.claim(&blocking, 10).await.deliveries, []);
        let proceeding = proceeding_subscription("service", "topic");
        let next = instance.claim_next(&proceeding, 10).await.deliveries;
        assert_eq!(next.len(), 1);
        assert_eq!(next[0].event_id, "2");
    }

    // At d15352b a death that read the old policy while the change was uncommitted
    // kept its key for good, on Postgres.
    async fn a_death_beside_a_change_of_policy_blocks_no_key_for_good(platform) {
        let (mut one, mut other) = (platform.instance().await, platform.elsewhere().await);
        for round in 0..30 {
            let topic = format!("topic-{round}");
            let blocking = blocking_subscription("service", &topic);
            let proceeding = subscription("service", &topic);
            let ids = [format!("{round}-1"), format!("{round}-2")];
            one.committed(publishes(ids.each_ref().map(|id| keyed(&topic, id, "key")))).await;
            let lease = one.claim_one(&blocking).await.lease;
            let (buried, claimed) = futures::join!(
                one.bury(vec![burial(lease, "no")]),
                other.instance.claim(&proceeding, 1),
            );
            assert_eq!(buried, [Ok(())]);
            let mut events: Vec<String> = claimed.deliveries.into_iter().map(|one| one.event_id).collect();
            events.extend(one.claimed_events(&proceeding, 1).await);
            assert_eq!(events, [ids[1].as_str()]);
        }
    }
}
