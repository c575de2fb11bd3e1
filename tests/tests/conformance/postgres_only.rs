//! What only transactions of several writers at once can get wrong.

use std::{thread, thread::JoinHandle, time::Duration};

use deliveries::{Fate, Return};
use emporium_tests::{conformance_of, platform::*, servers::Postgres};

conformance_of!(postgres, POSTGRES, [
    a_lease_is_extended_from_when_the_call_had_its_turn
    a_wait_begins_when_the_call_had_its_turn
    a_sweep_looks_no_further_than_it_has_to
]);

/// How long somebody else keeps what a call is about.
const KEPT: Duration = Duration::from_secs(1);

/// Keep every delivery locked, from when this returns.
fn lock_deliveries(platform: &Platform) -> JoinHandle<()> {
    let Database::Postgres(url) = &platform.database else {
        panic!("this is not Postgres");
    };
    let lock = format!(
        "BEGIN; SELECT FROM emporium.deliveries FOR UPDATE; SELECT pg_sleep({}); COMMIT",
        KEPT.as_secs()
    );
    let holder = url.clone();
    let holding = thread::spawn(move || drop(Postgres::shared().query(&holder, &lock)));
    let held = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'";
    while Postgres::shared().query(url, held) == "0" {
        thread::sleep(Duration::from_millis(5));
    }
    holding
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
    kept.join().expect("the lock was held");
    assert_eq!(extended, [Ok(())]);
    let lease_time = Duration::from_millis(LEASE_MS.into());
    platform.advance(lease_time - KEPT / 2);
    let claimed = instance.claim(&subscription("service", "topic"), 1).await;
    assert_eq!(claimed.deliveries, []);
}

async fn a_wait_begins_when_the_call_had_its_turn(platform: &Platform) {
    let mut instance = platform.instance().await;
    let lease = leased(&mut instance).await;
    let kept = lock_deliveries(platform);
    let begun_ms = platform.now_ms();
    let later = Return {
        retry_after_ms: Some(10_000),
        ..back(lease, "later")
    };
    let released = instance.release(vec![later]).await;
    kept.join().expect("the lock was held");
    let [Ok(Fate::RetriedAtMs(at_ms))] = released[..] else {
        panic!("{released:?}");
    };
    assert!(
        at_ms >= begun_ms + 10_000 + ms(KEPT / 2),
        "{at_ms} {begun_ms}"
    );
}

async fn a_sweep_looks_no_further_than_it_has_to(platform: &Platform) {
    let mut instance = platform.instance().await;
    instance
        .committed(publishes([event("topic", "first")]))
        .await;
    let Database::Postgres(url) = &platform.database else {
        panic!("this is not Postgres");
    };
    let fill = "INSERT INTO emporium.events (id, topic, kind, published_ms, envelope)
        SELECT 'e' || n, 1, 'KIND', emporium.now_ms(), '' FROM generate_series(1, 20000) AS n";
    Postgres::shared().query(url, fill);
    let read = || {
        let sql = "SELECT pg_stat_force_next_flush();
            SELECT coalesce(sum(idx_tup_fetch), 0) + coalesce(sum(seq_tup_read), 0)
            FROM pg_stat_user_tables WHERE schemaname = 'emporium' AND relname = 'events'";
        let rows = Postgres::shared().query(url, sql);
        let last = rows.lines().last().expect("a row");
        last.parse::<u64>().expect("a count")
    };
    let before = read();
    let sweep = "SELECT events FROM emporium_1.sweep(86400000, 86400000, 86400000, 86400000);
        SELECT pg_stat_force_next_flush()";
    Postgres::shared().query(url, sweep);
    let after = read();
    assert!(after - before <= 2_000, "{} rows were read", after - before);
}
