//! Connections that components take turns with.

use futures::future::join_all;

use super::Probe;

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_one_component_are_not_seen_by_another() {
    let probe = Probe::with(|limits| limits.postgres_connections = 1).await;
    for marking in [
        "execute SET application_name TO 'mine'",
        "query SELECT set_config('application_name', 'mine', false)",
        "execute CREATE TEMP TABLE mine ()",
        "query SELECT 1 INTO TEMP mine",
        "query SELECT pg_advisory_lock(1)",
    ] {
        probe.run_one(marking).await;
        let seen = probe
            .run_one(
                "query SELECT current_setting('application_name'), to_regclass('pg_temp.mine') \
                 IS NULL, count(*) FROM pg_locks \
                 WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
            )
            .await;
        assert_eq!(seen, "Str(\"\")|Boolean(true)|Int64(0)", "{marking}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_last_as_long_as_the_connection_of_the_component() {
    let probe = Probe::start().await;
    let said = probe
        .run(&[
            "execute SET application_name TO 'mine'",
            "query SHOW application_name",
        ])
        .await;
    assert_eq!(said[1], "Str(\"mine\")");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_resource_keeps_no_connection() {
    let probe = Probe::with(|limits| limits.postgres_connections = 1).await;
    let said = probe
        .run(&[
            "query SELECT 1",
            "keep",
            "query SELECT 2",
            "keep",
            "query SELECT 3",
        ])
        .await;
    assert_eq!(said, ["Int32(1)", "kept", "Int32(2)", "kept", "Int32(3)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_components_than_connections_take_turns() {
    let probe = Probe::with(|limits| limits.postgres_connections = 2).await;
    let turns = (0..12).map(|_| probe.run_one("query SELECT 7 FROM pg_sleep(0.02)"));
    for said in join_all(turns).await {
        assert_eq!(said, "Int32(7)");
    }
    let connections: u32 = probe.connections("true").parse().expect("a number");
    assert!(connections <= 2, "{connections}");
}
