//! Statements and servers that do not come back.

use std::time::Duration;

use emporium_tests::{app::until, servers::Postgres};

use super::Probe;

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_ends_with_its_request() {
    let probe = Probe::with(|limits| limits.request_deadline = Duration::from_secs(3)).await;
    probe.run_one("query SELECT pg_sleep(600)").await;
    // The server was asked to stop it: it would go on otherwise.
    until(async || (probe.connections("state = 'active'") == "0").then_some(())).await;
    assert_eq!(probe.run_one("query SELECT 1").await, "Int32(1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_costs_the_statements_under_way() {
    let mut postgres = Postgres::start();
    let url = postgres.url();
    let probe = Probe::of(&postgres, url, |_| {}).await;
    assert_eq!(probe.run_one("query SELECT 1").await, "Int32(1)");
    let sleeping = probe.run_one("query SELECT pg_sleep(600)");
    let killing = async {
        let asleep =
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'";
        until(async || (!postgres.query(&probe.url, asleep).is_empty()).then_some(())).await;
        postgres.kill();
    };
    let (said, ()) = tokio::join!(sleeping, killing);
    assert!(said.contains("ConnectionFailed"), "{said}");
    let said = probe.run_one("query SELECT 1").await;
    assert!(said.contains("ConnectionFailed"), "{said}");
    postgres.restart();
    assert_eq!(probe.run_one("query SELECT 1").await, "Int32(1)");
    postgres.restart();
    // The connection that rested is found broken before it is used.
    assert_eq!(probe.run_one("query SELECT 2").await, "Int32(2)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_does_not_hang_its_clients() {
    let postgres = Postgres::start();
    let url = format!("{}?connect_timeout=1", postgres.url());
    let probe = Probe::of(&postgres, url, |_| {}).await;
    postgres.pause();
    let said = probe.run_one("query SELECT 1").await;
    postgres.resume();
    assert!(
        said.contains("ConnectionFailed") && said.contains("longer than"),
        "{said}"
    );
}
