//! Which servers a component gets to.

use emporium_tests::{app::App, servers::Postgres};

use super::{Probe, manifest};

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
    let app = App::of(manifest("['postgres://*:*']", None)).await;
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
