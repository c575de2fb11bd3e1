//! What only transactions of several writers at once can get wrong.

use std::{thread, thread::JoinHandle, time::Duration};

use deliveries::{Fate, Return};
use emporium_tests::{conformance_of, platform::*, servers::Postgres};

conformance_of!(postgres, POSTGRES, [
    a_lease_is_extended_from_when_the_call_had_its_turn
    a_wait_begins_when_the_call_had_its_turn
    a_sweep_looks_no_further_than_it_has_to
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

async fn a_lease_is_extended_from_when_the_call_had_its_turn(platform: &Platform) {
    let mut instance = platform.instance().await;
    let lease = leased(&mut instance).await;
    let kept = lock_deliveries(platform);
    let extended = instance.extend(vec![lease], LEASE_MS).await;
    let freed_ms = kept.join().expect("the lock was held");
    assert_eq!(extended, [Ok(())]);
    let until_ms = last_number(url(platform), "SELECT free_ms FROM emporium.deliveries");
    assert!(
        until_ms >= freed_ms + u64::from(LEASE_MS),
        "{until_ms} {freed_ms}"
    );
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
