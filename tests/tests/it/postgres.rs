//! `spin:postgres` on a real server: what components get, what they are refused,
//! and what they leave behind.

use std::time::Duration;

use emporium_host::Limits;
use emporium_tests::{
    app::{App, send, until},
    component,
    servers::Postgres,
};
use futures::future::join_all;
use reqwest::Method;

/// A component that runs what it is sent, and may connect to `hosts`.
fn manifest(hosts: &str) -> String {
    let source = component("test-probe").display().to_string();
    format!(
        "spin_manifest_version = 2\n\
         [application]\n\
         name = 'probing'\n\
         [[trigger.http]]\n\
         route = '/...'\n\
         component = 'probe'\n\
         [component.probe]\n\
         source = '{source}'\n\
         allowed_outbound_hosts = [{hosts}]\n"
    )
}

/// The probe in a host, and a database of the shared server.
struct Probe {
    app: App,
    url: String,
}

impl Probe {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(limit: impl FnOnce(&mut Limits)) -> Self {
        let postgres = Postgres::shared();
        Self::of(postgres, postgres.database(), limit).await
    }

    async fn of(server: &Postgres, url: String, limit: impl FnOnce(&mut Limits)) -> Self {
        let host = format!("'postgres://127.0.0.1:{}'", server.port());
        let app = App::with(manifest(&host), limit).await;
        Self { app, url }
    }

    /// Runs the lines of a script on one connection; returns what came of each.
    async fn run(&self, script: &[&str]) -> Vec<String> {
        self.run_at(&self.url, script).await
    }

    async fn run_at(&self, url: &str, script: &[&str]) -> Vec<String> {
        let request = self.app.request(Method::POST, &format!("/postgres?{url}"));
        let answer = send(request.body(script.join("\n"))).await;
        answer.text().lines().map(str::to_owned).collect()
    }

    async fn run_one(&self, line: &str) -> String {
        self.run(&[line]).await.concat()
    }

    /// What a session of the server says of itself.
    fn asked(&self, sql: &str) -> String {
        Postgres::shared().query(&self.url, sql)
    }

    /// The connections of this probe that the server has.
    fn connections(&self, of: &str) -> String {
        self.asked(&format!(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND {of}"
        ))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_counts_come_back() {
    let probe = Probe::start().await;
    let said = probe
        .run(&[
            "execute CREATE TABLE t (n int, s text)",
            "execute INSERT INTO t SELECT n, 'x' || n FROM generate_series(1, 3) n",
            "query SELECT n, s FROM t ORDER BY n",
            "sync SELECT n FROM t WHERE n > 2",
            "query SELECT n FROM t WHERE n > 3",
            "execute UPDATE t SET s = NULL WHERE n < 3",
        ])
        .await;
    assert_eq!(
        said,
        [
            "0",
            "3",
            "Int32(1)|Str(\"x1\");Int32(2)|Str(\"x2\");Int32(3)|Str(\"x3\")",
            "Int32(3)",
            "",
            "2",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_there_and_back() {
    let probe = Probe::start().await;
    let columns = "$1::bool, $2::\"char\"::text, $3::int2, $4::int4, $5::int8, $6::float4, \
         $7::float8, $8::text, $9::bytea, $10::date, $11::time, $12::timestamp, \
         $13::timestamptz AT TIME ZONE 'UTC', $14::uuid, $15::jsonb, $16::numeric, $17::int4range, \
         $18::int8range, $19::numrange, $20::int4[], $21::int8[], $22::numeric[], $23::text[], \
         $24::interval, $25::int, $15::jsonb::json, 'x'::name";
    let said = probe.run_one(&format!("bind SELECT {columns}")).await;
    let values: Vec<_> = said.split('|').collect();
    assert_eq!(
        values,
        [
            "Boolean(true)",
            "Str(\"\\\\370\")",
            "Int16(-16)",
            "Int32(-32)",
            "Int64(-64)",
            "Floating32(0.5)",
            "Floating64(-0.25)",
            "Str(\"täxt\")",
            "Binary([0, 255])",
            "Date((2026, 11, 20))",
            "Time((23, 59, 58, 123456000))",
            "Datetime((1969, 12, 31, 1, 2, 3, 4000))",
            "Datetime((2001, 9, 9, 1, 46, 40, 0))",
            "Uuid(\"0192f0c1-a2b3-7c4d-8e5f-60718293a4b5\")",
            "Jsonb([123, 34, 97, 34, 58, 32, 91, 49, 44, 32, 110, 117, 108, 108, 93, 125])",
            "Decimal(\"-1234567890123456789.0001200\")",
            "RangeInt32((Some((1, RangeBoundKind::Inclusive)), Some((5, RangeBoundKind::Exclusive))))",
            "RangeInt64((None, Some((5, RangeBoundKind::Exclusive))))",
            "RangeDecimal((Some((\"0.5\", RangeBoundKind::Exclusive)), None))",
            "ArrayInt32([Some(1), None])",
            "ArrayInt64([])",
            "ArrayDecimal([Some(\"1.50\"), None])",
            "ArrayStr([Some(\"a\"), None, Some(\"\")])",
            "Interval(Interval { micros: -1, days: 2, months: -3 })",
            "DbNull",
            "Unsupported([123, 34, 97, 34, 58, 32, 91, 49, 44, 32, 110, 117, 108, 108, 93, 125])",
            "Unsupported([120])",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_server_keeps_its_code() {
    let probe = Probe::start().await;
    let said = probe
        .run(&[
            "query garbage",
            "query SELECT 1; SELECT 2",
            "query SELECT 1 / 0",
            "execute CREATE TABLE t (n int CONSTRAINT small CHECK (n < 3))",
            "execute INSERT INTO t VALUES (3)",
            "query SELECT 1",
        ])
        .await;
    for (line, code) in [(0, "42601"), (1, "42601"), (2, "22012"), (4, "23514")] {
        assert!(
            said[line].contains(&format!("code: \"{code}\"")),
            "{}",
            said[line]
        );
    }
    assert!(
        said[4].contains("(\"constraint\", \"small\")"),
        "{}",
        said[4]
    );
    assert_eq!(said[5], "Int32(1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_the_wrong_type_or_number_is_refused() {
    let probe = Probe::start().await;
    let said = probe
        .run(&[
            "bind SELECT $1::text",
            "query SELECT $1::int",
            "query SELECT now()",
            "query SELECT 1",
        ])
        .await;
    assert!(said[0].starts_with("Error::QueryFailed"), "{}", said[0]);
    assert!(said[1].starts_with("Error::QueryFailed"), "{}", said[1]);
    assert!(said[2].contains("cast"), "{}", said[2]);
    assert_eq!(said[3], "Int32(1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_allowed_is_refused() {
    let probe = Probe::start().await;
    let port = Postgres::shared().port();
    for address in [
        "postgres://127.0.0.1:1/x".to_owned(),
        "postgres://localhost/x".to_owned(),
        format!("host=127.0.0.1,10.0.0.1 port={port}"),
        format!("host=127.0.0.1 hostaddr=10.0.0.1 port={port}"),
        "host=/var/run/postgresql".to_owned(),
        "nonsense".to_owned(),
    ] {
        let said = probe.run_at(&address, &["query SELECT 1"]).await.concat();
        assert!(said.contains("ConnectionFailed"), "{address}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_network_must_be_named() {
    let postgres = Postgres::shared();
    let app = App::of(manifest("'postgres://*:*'")).await;
    let probe = Probe {
        app,
        url: postgres.url(),
    };
    let said = probe.run_one("query SELECT 1").await;
    assert!(
        said.contains("ConnectionFailed") && said.contains("loopback"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_let_us_in_is_a_failed_connection() {
    let probe = Probe::start().await;
    let wrong = probe.url.replace("test-postgres-password", "wrong");
    let said = probe.run_at(&wrong, &["query SELECT 1"]).await.concat();
    assert!(
        said.contains("ConnectionFailed") && said.contains("password"),
        "{said}"
    );
    let (server, _) = probe.url.rsplit_once('/').expect("a path");
    let missing = format!("{server}/missing");
    let said = probe.run_at(&missing, &["query SELECT 1"]).await.concat();
    assert!(
        said.contains("ConnectionFailed") && said.contains("missing"),
        "{said}"
    );
}

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
    assert_eq!(probe.connections("state LIKE 'idle in transaction%'"), "0");
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
                 IS NULL, count(*) FROM pg_locks WHERE locktype = 'advisory'",
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

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_ends_with_its_request() {
    let probe = Probe::with(|limits| limits.request_deadline = Duration::from_millis(300)).await;
    probe.run_one("query SELECT pg_sleep(600)").await;
    // The server was asked to stop it: it would go on otherwise.
    until(async || (probe.connections("state = 'active'") == "0").then_some(())).await;
    assert_eq!(probe.run_one("query SELECT 1").await, "Int32(1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_reply_is_streamed() {
    let probe = Probe::start().await;
    let sql = "SELECT n, repeat('x', 1000) FROM generate_series(1, 5000) n";
    let counted = format!("query {sql}");
    let said = probe.run_one(&counted).await;
    assert_eq!(said.split(';').count(), 5000, "{said:.300}");
    // What nobody reads is given up, and the connection with it.
    let said = probe
        .run(&[&format!("first {sql}"), "query SELECT 1"])
        .await;
    assert!(said[0].starts_with("Int32(1)|"), "{}", said[0]);
    assert_eq!(said[1], "Int32(1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_beyond_the_limit_is_refused() {
    let probe = Probe::start().await;
    let said = probe
        .run(&[
            "sync SELECT repeat('x', 1 << 20) FROM generate_series(1, 200)",
            "query SELECT 1",
        ])
        .await;
    assert!(said[0].contains("exceeds limit"), "{}", said[0]);
    assert_eq!(said[1], "Int32(1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_outlives_a_change_of_its_table() {
    let probe = Probe::start().await;
    probe.run_one("execute CREATE TABLE t (n int)").await;
    let select = "query SELECT * FROM t";
    probe
        .run(&["execute INSERT INTO t VALUES (1)", select, select])
        .await;
    probe.asked("ALTER TABLE t ADD m int DEFAULT 2");
    assert_eq!(probe.run_one(select).await, "Int32(1)|Int32(2)");
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
    let probe = Probe::of(&postgres, url, |limits| {
        limits.request_deadline = Duration::from_secs(3);
    })
    .await;
    postgres.pause();
    let said = probe.run_one("query SELECT 1").await;
    postgres.resume();
    assert!(
        said.contains("ConnectionFailed") && said.contains("longer than"),
        "{said}"
    );
}
