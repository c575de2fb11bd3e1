//! Transactions, and what is left of them.

use emporium_tests::app::until;

use super::Probe;

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_keeps_its_connection_and_others_see_it_whole() {
    let probe = Probe::with(|limits| limits.postgres_connections = 1).await;
    probe.run_one("execute CREATE TABLE t (n int)").await;
    let backend = probe.run_one("query SELECT pg_backend_pid()").await;
    let said = probe
        .run(&[
            "execute BEGIN",
            "query SELECT txid_current() > 0",
            "execute INSERT INTO t VALUES (1)",
            "query SELECT count(*) FROM t",
            "execute ROLLBACK",
            "query SELECT count(*) FROM t",
            "execute BEGIN",
            "execute INSERT INTO t VALUES (2)",
            "execute COMMIT",
            "query SELECT n FROM t",
        ])
        .await;
    assert_eq!(said[3..6], ["Int64(1)", "0", "Int64(0)"]);
    assert_eq!(said[9], "Int32(2)");
    // Nothing was left behind, so that the connection was not closed.
    let after = probe.run_one("query SELECT pg_backend_pid()").await;
    assert_eq!(after, backend);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_inside_a_transaction_leaves_the_pool_clean() {
    let probe = Probe::with(|limits| limits.postgres_connections = 1).await;
    probe.run_one("execute CREATE TABLE t (n int)").await;
    for _ in 0..3 {
        probe
            .run(&["execute BEGIN", "execute INSERT INTO t VALUES (1)", "trap"])
            .await;
    }
    // There is one connection: it cannot be had before the lost one is closed.
    let said = probe
        .run(&[
            "query SELECT count(*) FROM t",
            "execute BEGIN",
            "execute COMMIT",
        ])
        .await;
    assert_eq!(said, ["Int64(0)", "0", "0"]);
    // The server learns of a connection that was closed in its own time.
    let left = "state LIKE 'idle in transaction%'";
    until(async || (probe.connections(left) == "0").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_halts_the_component_waits_for_no_other() {
    let probe = Probe::start().await;
    assert_eq!(probe.run_one("beside SELECT 1").await, "Int32(1)");
    let said = probe
        .run(&[
            "execute BEGIN",
            "beside SELECT 1",
            "execute ROLLBACK",
            "beside SELECT 1",
        ])
        .await;
    assert_eq!(said, ["0", "Int32(1)", "0", "Int32(1)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_left_open_is_rolled_back() {
    let probe = Probe::with(|limits| limits.postgres_connections = 1).await;
    probe.run_one("execute CREATE TABLE t (n int)").await;
    let left = ["execute BEGIN", "execute INSERT INTO t VALUES (1)"];
    probe.run(&left).await;
    assert_eq!(
        probe.run_one("query SELECT count(*) FROM t").await,
        "Int64(0)"
    );
    let broken = [
        "execute BEGIN",
        "query SELECT 1 / 0",
        "open",
        "query SELECT 1",
    ];
    assert_eq!(probe.run(&broken).await[3], "Int32(1)");
}
