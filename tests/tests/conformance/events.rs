//! Events: what is published is kept, once, in order.

use emporium_tests::{conformance, platform::*};
use maintenance::Error;

conformance! {
    async fn an_event_is_kept_as_it_was_published(platform) {
        let mut instance = platform.instance().await;
        let before = platform.now_ms();
        let mut published = keyed("Topic_1.x-y", "e1", "käse");
        published.envelope = (0..=255).collect();
        instance.committed(publishes([published])).await;
        let events = instance.events(None, 10).await.expect("events");
        assert_eq!(events.len(), 1);
        let event = &events[0];
        assert_eq!((event.id.as_str(), event.topic.as_str()), ("e1", "Topic_1.x-y"));
        assert_eq!((event.kind.as_str(), event.subject.as_deref()), ("thing.happened", Some("käse")));
        assert_eq!(event.envelope, (0..=255).collect::<Vec<u8>>());
        assert_eq!(event.unsettled, 0);
        assert!((before..=platform.now_ms()).contains(&event.published_at_ms));
    }

    async fn publishing_an_id_again_is_a_no_op(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        let unit = publishes([event("topic", "e1"), event("topic", "e1")]);
        instance.commit(vec![unit.clone(), unit]).await;
        instance.committed(publishes([event("other", "e1")])).await;
        assert_eq!(instance.events(None, 10).await.expect("events").len(), 1);
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["e1"]);
    }

    async fn an_id_stays_taken_when_its_event_is_settled(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        instance.committed(publishes([event("topic", "e1")])).await;
        let lease = instance.claim_one(&subscription).await.lease;
        instance.committed(settles(lease)).await;
        instance.committed(publishes([event("topic", "e1")])).await;
        assert_eq!(instance.claimed_events(&subscription, 10).await, Vec::<String>::new());
    }

    async fn the_rest_of_a_unit_with_a_known_event_is_committed(platform) {
        let mut instance = platform.instance().await;
        instance.committed(publishes([event("topic", "e1")])).await;
        let mut unit = puts([put("things", "a", "1")]);
        unit.events = vec![event("topic", "e1"), event("topic", "e2")];
        instance.committed(unit).await;
        assert_eq!(instance.value("things", "a").await, "1");
        assert_eq!(instance.events(None, 10).await.expect("events").len(), 2);
    }

    async fn events_are_read_from_a_place_onwards(platform) {
        let mut instance = platform.instance().await;
        for number in 0..7 {
            instance.committed(publishes([event("topic", &format!("e{number}"))])).await;
        }
        let ids = |events: &[maintenance::Event]| {
            events.iter().map(|event| event.id.clone()).collect::<Vec<_>>()
        };
        let latest = instance.events(None, 3).await.expect("events");
        assert_eq!(ids(&latest), ["e4", "e5", "e6"]);
        assert!(latest.is_sorted_by_key(|event| event.sequence));
        let mut after = Some(0);
        let mut seen = Vec::new();
        loop {
            let page = instance.events(after, 2).await.expect("events");
            let Some(last) = page.last() else { break };
            after = Some(last.sequence);
            seen.extend(ids(&page));
        }
        assert_eq!(seen, ["e0", "e1", "e2", "e3", "e4", "e5", "e6"]);
        assert_eq!(instance.events(Some(u64::MAX), 5).await, Ok(vec![]));
    }

    async fn an_event_counts_who_has_not_settled_it(platform) {
        let mut instance = platform.instance().await;
        let (one, other) = (subscription("one", "topic"), subscription("other", "topic"));
        instance.claim(&one, 1).await;
        instance.claim(&other, 1).await;
        instance.committed(publishes([event("topic", "e1")])).await;
        assert_eq!(instance.events(None, 1).await.expect("events")[0].unsettled, 2);
        let lease = instance.claim_one(&one).await.lease;
        instance.committed(settles(lease)).await;
        assert_eq!(instance.events(None, 1).await.expect("events")[0].unsettled, 1);
        let lease = instance.claim_one(&other).await.lease;
        instance.bury(vec![burial(lease, "no")]).await;
        assert_eq!(instance.events(None, 1).await.expect("events")[0].unsettled, 1);
        assert_eq!(instance.discard(vec![lease.delivery]).await, Ok(1));
        assert_eq!(instance.events(None, 1).await.expect("events")[0].unsettled, 0);
    }

    async fn a_limit_of_events_is_from_1_to_500(platform) {
        let mut instance = platform.instance().await;
        for limit in [0, 501] {
            let refused = instance.events(None, limit).await;
            assert!(matches!(refused, Err(Error::InvalidQuery(_))), "{refused:?}");
        }
    }
}
