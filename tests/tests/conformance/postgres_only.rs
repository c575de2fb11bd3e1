//! What is to be said of Postgres alone: what only transactions of several writers
//! at once can get wrong, databases from before, and databases with other defaults.

use std::{thread, thread::JoinHandle, time::Duration};

use deliveries::{Fate, Return};
use emporium_tests::{conformance_of, platform::*, servers::Postgres};

/// A database as version 1 of the adapter left it.
const VERSION_1: &str = include_str!("postgres_v1.sql");

conformance_of!(postgres, POSTGRES, [
    a_lease_is_extended_while_another_is_settled
    a_retry_does_not_wait_for_the_backlog
    publishers_of_the_same_events_do_not_deadlock
    a_wait_begins_when_the_call_had_its_turn
    a_sweep_looks_no_further_than_it_has_to
    a_sweep_costs_no_more_for_events_that_are_still_owed
    a_database_of_version_1_is_brought_up
    another_default_isolation_level_changes_nothing
    deliveries_without_an_event_are_passed_over
]);

/// Keep every delivery locked, from when this returns until a call waits for
/// one. The thread then knows the time when they were free.
fn lock_deliveries(platform: &Platform) -> JoinHandle<u64> {
    let url = url(platform);
    // One transaction, because it is one message.
    let lock = "SELECT FROM emporium.deliveries FOR UPDATE;
        DO $$ BEGIN
            FOR turn IN 1 .. 6000 LOOP
                PERFORM pg_sleep(0.01);
                EXIT WHEN EXISTS (
                    SELECT FROM pg_locks
                    WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
                );
            END LOOP;
            PERFORM pg_sleep(0.1);
        END $$;
        SELECT emporium.now_ms()";
    let holder = url.to_owned();
    let holding = thread::spawn(move || last_number(&holder, lock));
    let held = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'";
    while Postgres::shared().query(url, held) == "0" && !holding.is_finished() {
        thread::sleep(Duration::from_millis(5));
    }
    holding
}

fn url(platform: &Platform) -> &str {
    match &platform.database {
        Database::Postgres(url) => url,
        Database::Sqlite(_) => panic!("this is not Postgres"),
    }
}

/// The number that the last of some statements returns.
fn last_number(url: &str, sql: &str) -> u64 {
    let rows = Postgres::shared().query(url, sql);
    let last = rows.lines().last().expect("a row");
    last.parse().expect("a number")
}

async fn leased(instance: &mut Instance) -> deliveries::Lease {
    instance.committed(publishes([event("topic", "e1")])).await;
    instance
        .claim_one(&subscription("service", "topic"))
        .await
        .lease
}

async fn a_lease_is_extended_while_another_is_settled(platform: &Platform) {
    let mut instance = platform.instance().await;
    let subscription = subscription("service", "topic");
    let events = ["e1", "e2"].map(|id| event("topic", id));
    instance.committed(publishes(events)).await;
    let batch = instance.claim(&subscription, 2).await.deliveries;
    let leases: Vec<_> = batch.iter().map(|delivery| delivery.lease).collect();
    let locked = leases[0].delivery;
    let holder = url(platform).to_owned();
    let lock = format!(
        "SELECT FROM emporium.deliveries WHERE id = {locked} FOR UPDATE;
        SELECT pg_sleep(3); SELECT emporium.now_ms()"
    );
    let held = thread::spawn(move || last_number(&holder, &lock));
    let sleeping = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'";
    while Postgres::shared().query(url(platform), sleeping) == "0" {
        thread::sleep(Duration::from_millis(5));
    }
    let extended = instance.extend(leases.clone(), 2 * LEASE_MS).await;
    assert!(!held.is_finished(), "nobody waited for the lock");
    assert_eq!(extended, [Ok(()), Ok(())]);
    let until_ms = |lease: deliveries::Lease| {
        let id = lease.delivery;
        let query = format!("SELECT free_ms FROM emporium.deliveries WHERE id = {id}");
        last_number(url(platform), &query)
    };
    assert!(until_ms(leases[1]) >= until_ms(leases[0]) + u64::from(LEASE_MS) / 2);
    held.join().expect("the lock was held");
}

async fn a_retry_does_not_wait_for_the_backlog(platform: &Platform) {
    let mut instance = platform.instance().await;
    let subscription = subscription("service", "topic");
    let ids: Vec<String> = (0..1000).map(|number| format!("e{number}")).collect();
    let events = ids.iter().map(|id| event("topic", id));
    instance.committed(publishes(events)).await;
    let first = instance.claim(&subscription, 1).await.deliveries[0].lease;
    let soon = Return {
        retry_after_ms: Some(1),
        ..back(first, "again")
    };
    instance.release(vec![soon]).await;
    platform.advance(Duration::from_millis(10));
    let mut claims = 0;
    loop {
        claims += 1;
        let batch = instance.claim(&subscription, 10).await.deliveries;
        assert!(!batch.is_empty(), "the retry is claimed");
        if batch.iter().any(|delivery| delivery.event_id == "e0") {
            break;
        }
    }
    assert!(claims <= 2, "{claims} claims");
}

async fn publishers_of_the_same_events_do_not_deadlock(platform: &Platform) {
    let ids: Vec<String> = (0..400).map(|number| format!("e{number}")).collect();
    let mut instances = [platform.instance().await, platform.instance().await];
    instances[0]
        .committed(publishes([event("topic", "x")]))
        .await;
    let before = deadlocks(platform);
    let [one, other] = &mut instances;
    for round in 0..20 {
        let named = |id: &String| event("topic", &format!("{round}-{id}"));
        let forth = publishes(ids.iter().map(named));
        let back = publishes(ids.iter().rev().map(named));
        tokio::join!(one.committed(forth), other.committed(back));
    }
    assert_eq!(deadlocks(platform), before);
}

fn deadlocks(platform: &Platform) -> u64 {
    let query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    last_number(url(platform), query)
}

async fn a_wait_begins_when_the_call_had_its_turn(platform: &Platform) {
    let mut instance = platform.instance().await;
    let lease = leased(&mut instance).await;
    let kept = lock_deliveries(platform);
    let later = Return {
        retry_after_ms: Some(10_000),
        ..back(lease, "later")
    };
    let released = instance.release(vec![later]).await;
    let freed_ms = kept.join().expect("the lock was held");
    let [Ok(Fate::RetriedAtMs(at_ms))] = released[..] else {
        panic!("{released:?}");
    };
    assert!(at_ms >= freed_ms + 10_000, "{at_ms} {freed_ms}");
}

async fn a_sweep_looks_no_further_than_it_has_to(platform: &Platform) {
    let mut instance = platform.instance().await;
    instance
        .committed(publishes([event("topic", "first")]))
        .await;
    let url = url(platform);
    let fill = "INSERT INTO emporium.events (id, topic, kind, published_ms, envelope)
        SELECT 'e' || n, 1, 'KIND', emporium.now_ms(), '' FROM generate_series(1, 20000) AS n";
    Postgres::shared().query(url, fill);
    let read = "SELECT pg_stat_force_next_flush();
        SELECT coalesce(sum(idx_tup_fetch), 0) + coalesce(sum(seq_tup_read), 0)
        FROM pg_stat_user_tables WHERE schemaname = 'emporium' AND relname = 'events'";
    let before = last_number(url, read);
    let sweep = "SELECT events FROM emporium_2.sweep(86400000, 86400000, 86400000, 86400000);
        SELECT pg_stat_force_next_flush()";
    Postgres::shared().query(url, sweep);
    let after = last_number(url, read);
    assert!(after - before <= 2_000, "{} rows were read", after - before);
}

async fn a_sweep_costs_no_more_for_events_that_are_still_owed(platform: &Platform) {
    let mut instance = platform.instance().await;
    instance.committed(publishes([event("topic", "e1")])).await;
    instance.claim_one(&subscription("service", "topic")).await;
    let url = url(platform);
    let fill = "INSERT INTO emporium.events (id, topic, kind, published_ms, envelope)
        SELECT 'e' || n, 1, 'KIND', 1, '' FROM generate_series(2, 20000) AS n;
        INSERT INTO emporium.deliveries (id, owed_ms)
        SELECT (1::bigint << 44) | sequence, 1 FROM emporium.events WHERE id <> 'e1'";
    Postgres::shared().query(url, fill);
    let read = "SELECT pg_stat_force_next_flush();
        SELECT coalesce(sum(idx_tup_fetch), 0) + coalesce(sum(seq_tup_read), 0)
        FROM pg_stat_user_tables WHERE schemaname = 'emporium'";
    let before = last_number(url, read);
    let mut calls = 1;
    let sweep = "SELECT more FROM emporium_2.sweep(1000, 1000, 1000, 1000);
        SELECT pg_stat_force_next_flush()";
    while Postgres::shared().query(url, sweep).starts_with('t') {
        calls += 1;
    }
    let rows = (last_number(url, read) - before) / calls;
    assert!(calls > 15, "{calls} calls");
    assert!(
        rows <= 10_000,
        "{rows} rows were read by each of {calls} calls"
    );
}

async fn a_database_of_version_1_is_brought_up(platform: &Platform) {
    Postgres::shared().query(url(platform), VERSION_1);
    let mut instance = platform.instance().await;
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
        (3, 1, 1, 7, 2),
    );
    assert_eq!(status.latency.counts.iter().sum::<u64>(), 7);
    assert_eq!(status.latency.counts.len(), 19);
    let subscription = subscription("service", "topic");
    assert_eq!(status.subscription, subscription);
    let mut handled = Vec::new();
    for _ in 0..2 {
        for delivery in instance.claim(&subscription, 10).await.deliveries {
            handled.push(delivery.event_id);
            instance.committed(settles(delivery.lease)).await;
        }
    }
    assert_eq!(handled, ["pending", "first", "behind"]);
    let functions = "SELECT count(*) FROM pg_namespace WHERE nspname = 'emporium_1'";
    assert_eq!(last_number(url(platform), functions), 0);
}

async fn another_default_isolation_level_changes_nothing(platform: &Platform) {
    let url = url(platform);
    let set = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I
        SET default_transaction_isolation TO %L', current_database(), 'repeatable read'); END $$";
    Postgres::shared().query(url, set);
    let mut instance = platform.instance().await;
    instance.committed(publishes([event("topic", "e1")])).await;
    let subscription = subscription("service", "topic");
    let lease = instance.claim_one(&subscription).await.lease;
    instance.committed(settles(lease)).await;
    assert!(instance.wake_due().await.is_ok());
    let level =
        "SELECT (current_setting('default_transaction_isolation') = 'repeatable read')::int";
    assert_eq!(last_number(url, level), 1);
}

async fn deliveries_without_an_event_are_passed_over(platform: &Platform) {
    let mut instance = platform.instance().await;
    let subscription = subscription("service", "topic");
    instance.claim(&subscription, 1).await;
    for id in ["lost1", "lost2", "kept"] {
        instance
            .committed(publishes([keyed("topic", id, id)]))
            .await;
    }
    let url = url(platform);
    Postgres::shared().query(url, "DELETE FROM emporium.events WHERE id LIKE 'lost%'");
    // As a consumer that claims one at a time, and stops at nothing.
    for _ in 0..2 {
        let batch = instance.claim(&subscription, 1).await;
        assert_eq!((batch.deliveries, batch.next_due_in_ms), (vec![], Some(0)));
    }
    instance.claim_one(&subscription).await;
    let keys = last_number(url, "SELECT count(*) FROM emporium.lanes");
    assert_eq!(keys, 1);
}
