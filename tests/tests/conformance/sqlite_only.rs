//! What is to be said of SQLite alone: its lock, and databases from before.

use emporium_tests::{conformance_of, platform::*};

/// A database as version 1 of the adapter left it.
const VERSION_1: &str = include_str!("sqlite_v1.sql");

conformance_of!(sqlite, SQLITE, [
    a_lock_that_is_released_in_time_is_waited_for
    a_locked_database_can_be_read
    a_database_of_version_1_is_brought_up
]);

async fn a_lock_that_is_released_in_time_is_waited_for(platform: &Platform) {
    let mut instance = platform.instance().await;
    instance.migrate().await.expect("a schema");
    let locked = platform.database.lock();
    let release = async {
        tokio::task::yield_now().await;
        drop(locked);
    };
    let unit = puts([put("things", "a", "1")]);
    let (outcome, ()) = futures::join!(instance.commit_one(unit), release);
    assert!(outcome.is_ok(), "{outcome:?}");
}

async fn a_locked_database_can_be_read(platform: &Platform) {
    let mut instance = platform.instance().await;
    let blob = instance.put_blob(b"content".to_vec()).await;
    let blob = blob.expect("stored");
    instance.committed(puts([put("things", "a", "1")])).await;
    let _locked = platform.database.lock();
    assert_eq!(instance.value("things", "a").await, "1");
    let stat = instance.stat(blob.digest.clone()).await;
    assert_eq!(stat, Ok(Some(blob)));
    assert_eq!(instance.subscriptions().await, Ok(vec![]));
}

async fn a_database_of_version_1_is_brought_up(platform: &Platform) {
    let Database::Sqlite(file) = &platform.database else {
        panic!("this is SQLite");
    };
    let before = rusqlite::Connection::open(file).expect("the database opens");
    before.execute_batch(VERSION_1).expect("version 1");
    drop(before);

    let mut instance = platform.instance().await;
    assert!(instance.migrate().await.expect("a schema").version > 1);
    assert_eq!(instance.value("things", "a").await, "{}");
    let status = instance.status().await;
    assert_eq!(
        (
            status.pending,
            status.delayed,
            status.dead,
            status.settled,
            status.retried
        ),
        (4, 1, 1, 7, 2),
    );
    assert_eq!(status.latency.counts, [0; 19]);
    assert_eq!(status.paused, None);

    let subscription = subscription("service", "topic");
    assert_eq!(status.subscription, subscription);
    let mut handled = Vec::new();
    for _ in 0..3 {
        let batch = instance.claim(&subscription, 10).await.deliveries;
        for delivery in batch {
            instance.committed(settles(delivery.lease)).await;
            handled.push(delivery.event_id);
        }
    }
    assert_eq!(handled, ["pending", "first", "behind", "leased"]);
    assert_eq!(instance.replay(vec![6], None).await, Ok(1));
    assert_eq!(instance.claimed_events(&subscription, 10).await, ["dead"]);
    // They had been due for years.
    assert_eq!(instance.status().await.latency.counts[18], 4);
}
