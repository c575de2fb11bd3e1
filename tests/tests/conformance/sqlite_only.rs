//! What is to be said of SQLite alone: its lock, and databases from before.

use std::time::{Duration, Instant};

use emporium_tests::{conformance_of, platform::*};

/// Databases as earlier versions of the adapter left them.
const VERSION_1: &str = include_str!("sqlite_v1.sql");
const VERSION_2: &str = include_str!("sqlite_v2.sql");

/// How long a sweep may take, whatever is owed.
const SWEEP_MS: u128 = 100;

conformance_of!(sqlite, SQLITE, [
    a_lock_that_is_released_in_time_is_waited_for
    a_locked_database_can_be_read
    a_database_of_version_1_is_brought_up
    a_database_of_version_2_is_brought_up
    deliveries_without_an_event_stall_nobody
    a_sweep_takes_no_longer_for_events_that_are_owed
]);

/// Run statements that no adapter would.
fn run_sql(platform: &Platform, sql: &str) {
    let Database::Sqlite(file) = &platform.database else {
        panic!("this is SQLite");
    };
    let database = rusqlite::Connection::open(file).expect("the database opens");
    database.execute_batch(sql).expect("the statements run");
}

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
    run_sql(platform, VERSION_1);
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

async fn a_database_of_version_2_is_brought_up(platform: &Platform) {
    run_sql(platform, VERSION_2);
    let mut instance = platform.instance().await;
    let status = instance.status().await;
    assert_eq!((status.settled, status.retried, status.dead), (16, 2, 1));
    // What was counted up to a minute, up to ten, and longer, has other bounds.
    let mut counts = [1; 19];
    for none in [13, 14, 16] {
        counts[none] = 0;
    }
    assert_eq!(status.latency.counts, counts);
    assert_eq!(
        (status.latency.sum_ms, status.latency.longest_ms),
        (1_234_567, 1_234_567)
    );
    let subscription = subscription("service", "topic");
    assert_eq!(status.subscription, subscription);
    assert!(status.paused.is_some());
    assert!(instance.resume(&subscription).await);

    let mut handled = Vec::new();
    for _ in 0..3 {
        for delivery in instance.claim(&subscription, 10).await.deliveries {
            let followers = delivery.followers.iter();
            handled.extend(followers.map(|follower| follower.event_id.clone()));
            instance
                .committed(settles_all([with_followers(&delivery, 10)]))
                .await;
            handled.push(delivery.event_id);
        }
    }
    handled.sort();
    assert_eq!(handled, ["behind", "first", "leased", "pending"]);
    assert_eq!(instance.status().await.pending, 0);
}

// At d15352b a claim that met them returned nothing, and no moment to look again.
async fn deliveries_without_an_event_stall_nobody(platform: &Platform) {
    let mut instance = platform.instance().await;
    for (topic, limit) in [("one", 1), ("hundred", 100)] {
        let subscription = subscription("service", topic);
        instance.claim(&subscription, 1).await;
        let ids = (0..500).map(|number| format!("{topic}-{number}"));
        let events = ids.map(|id| match id.ends_with('7') {
            true => keyed(topic, &id, "key"),
            false => event(topic, &id),
        });
        instance.committed(publishes(events)).await;
        run_sql(platform, "DELETE FROM events");
        let alive = format!("{topic}-alive");
        instance
            .committed(publishes([keyed(topic, &alive, "key")]))
            .await;
        let batch = instance.claim(&subscription, limit).await;
        assert_eq!(batch.deliveries.len(), 1);
        assert_eq!(batch.deliveries[0].event_id, alive);
        assert!(
            batch.next_due_in_ms.is_none_or(|wait| wait > 0),
            "{batch:?}"
        );
    }
}

// At d15352b each sweep walked over all of them.
async fn a_sweep_takes_no_longer_for_events_that_are_owed(platform: &Platform) {
    let mut instance = platform.instance().await;
    instance.claim(&subscription("service", "topic"), 1).await;
    run_sql(
        platform,
        "INSERT INTO events (id, topic, kind, published_ms, envelope)
            WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 300000)
            SELECT 'e' || n, 1, 'KIND', 1, x'00' FROM n;
        INSERT INTO deliveries (subscription, event, state, due_ms)
            SELECT 1, sequence, 1, 1 FROM events;",
    );
    instance
        .committed(publishes([event("other", "the last")]))
        .await;
    platform.advance(Duration::from_secs(1));
    let mut took = Vec::new();
    loop {
        let began = Instant::now();
        let swept = instance.sweep(NOTHING_KEPT).await.expect("a sweep");
        took.push(began.elapsed().as_millis());
        if !swept.more {
            assert_eq!(swept.events, 1, "the end is reached");
            break;
        }
    }
    // Most of them: another process may have the processor now and then.
    took.sort_unstable();
    let most = took[took.len() * 9 / 10];
    assert!(most <= SWEEP_MS, "{most} ms, in {} sweeps", took.len());
}
