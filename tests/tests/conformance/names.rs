//! Names: what is not well-formed is refused, by every function that takes it.

use documents::{Error, Query, Selection};
use emporium_tests::{conformance, platform::*};
use journal::{CommitError, Event, Put, Unit};

const COLLECTIONS: [&str; 6] = ["", "Things", "a_b", "a/b", "ä", "a b"];
const KEYS: [&str; 4] = ["", "a\nb", "a\0", "\u{7f}"];

async fn assert_refused(instance: &mut Instance, unit: Unit) {
    let refused = instance.commit_one(unit).await;
    assert!(
        matches!(refused, Err(CommitError::InvalidUnit(_))),
        "{refused:?}"
    );
}

conformance! {
    async fn names_as_long_as_allowed_are_taken(platform) {
        let mut instance = platform.instance().await;
        let (collection, key) = ("x".repeat(64), "ü".repeat(128));
        let long = Put {
            entries: vec![entry(&collection, &"v".repeat(1024))],
            ..put(&collection, &key, "{}")
        };
        instance.committed(puts([long])).await;
        assert!(instance.get(&collection, &key).await.expect("read").is_some());
        let topic = "T".repeat(128);
        instance.committed(publishes([Event { kind: key.clone(), ..keyed(&topic, &key, &key) }])).await;
        assert_eq!(instance.claimed_events(&subscription(&collection, &topic), 1).await, [key]);
    }

    async fn a_wrong_collection_is_refused(platform) {
        let mut instance = platform.instance().await;
        for collection in COLLECTIONS.into_iter().chain([&*"x".repeat(65)]) {
            assert_refused(&mut instance, puts([put(collection, "a", "")])).await;
            assert_refused(&mut instance, removes(removal(collection, "a"))).await;
            for refused in [
                instance.get(collection, "a").await.map(drop),
                instance.get_many(collection.into(), vec![]).await.map(drop),
                instance.list(every(collection)).await.map(drop),
            ] {
                assert!(matches!(refused, Err(Error::InvalidQuery(_))), "{refused:?}");
            }
        }
    }

    async fn a_wrong_key_is_refused(platform) {
        let mut instance = platform.instance().await;
        for key in KEYS.into_iter().chain([&*"x".repeat(257)]) {
            assert_refused(&mut instance, puts([put("things", key, "")])).await;
            assert_refused(&mut instance, removes(removal("things", key))).await;
            for refused in [
                instance.get("things", key).await.map(drop),
                instance.get_many("things".into(), vec!["a".into(), key.into()]).await.map(drop),
            ] {
                assert!(matches!(refused, Err(Error::InvalidQuery(_))), "{refused:?}");
            }
        }
    }

    async fn a_wrong_entry_is_refused(platform) {
        let mut instance = platform.instance().await;
        for (index, value) in [("", "v"), ("Index", "v"), ("x", "a\0"), ("x", &"v".repeat(1025))] {
            let entries = vec![entry(index, value)];
            assert_refused(&mut instance, puts([Put { entries, ..put("things", "a", "") }])).await;
            let selection = Selection::Equal(entry(index, value));
            let refused = instance.list(Query { selection, ..every("things") }).await;
            assert!(matches!(refused, Err(Error::InvalidQuery(_))), "{refused:?}");
        }
    }

    async fn a_wrong_digest_is_refused(platform) {
        let mut instance = platform.instance().await;
        let blobs = vec!["ABC".into()];
        assert_refused(&mut instance, puts([Put { blobs, ..put("things", "a", "") }])).await;
    }

    async fn a_wrong_event_is_refused(platform) {
        let mut instance = platform.instance().await;
        for topic in ["", "a b", "a/b", "*", "ä", &"x".repeat(129)] {
            assert_refused(&mut instance, publishes([event(topic, "e1")])).await;
            let refused = instance.wake(topic.into()).await;
            assert!(matches!(refused, Err(deliveries::Error::InvalidRequest(_))), "{refused:?}");
        }
        for name in KEYS {
            assert_refused(&mut instance, publishes([event("topic", name)])).await;
            assert_refused(&mut instance, publishes([keyed("topic", "e1", name)])).await;
            let kind = Event { kind: name.into(), ..event("topic", "e1") };
            assert_refused(&mut instance, publishes([kind])).await;
        }
        assert_eq!(instance.events(None, 10).await, Ok(vec![]));
    }
}
