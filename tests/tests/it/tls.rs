//! Databases and brokers through TLS: whom the host trusts, and whom it does not.

use std::path::Path;

use emporium_tests::{
    app::{App, send, until},
    probe::manifest,
    servers::{Authority, Identity, Postgres, Redis},
};
use reqwest::Method;

const HOSTS: &str = "['postgres://localhost:*', 'postgres://127.0.0.1:*', \
    'rediss://localhost:*', 'rediss://127.0.0.1:*']";

/// A component that runs what it is sent, and listens to the channel `news` at
/// `redis`.
async fn probe(redis: Option<String>, trusted: Option<&Path>) -> App {
    let address = redis.as_deref().unwrap_or("redis://127.0.0.1");
    let manifest = manifest(HOSTS, Some(address));
    App::configured(manifest, |options| {
        options.redis = redis;
        options.ca_file = trusted.map(Into::into);
    })
    .await
}

/// Whether a database is reached through TLS at this address, or why not.
async fn reached(app: &App, server: &Postgres, host: &str, demands: &str) -> String {
    let place = server.url().replace("127.0.0.1", host);
    let request = app.request(Method::POST, &format!("/postgres?{place}?{demands}"));
    let script = "query SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    send(request.body(script)).await.text()
}

/// What a command to a broker at this address comes to.
async fn answered(app: &App, redis: &Redis, host: &str) -> String {
    let address = format!("/redis?rediss://{host}:{}", redis.tls_port());
    let request = app.request(Method::POST, &address);
    send(request.body("PING")).await.text()
}

const ENCRYPTED: &str = "Boolean(true)";
const PLAIN: &str = "Boolean(false)";

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_means_to_a_database_what_it_means_to_libpq() {
    let (authority, stranger) = (Authority::make(), Authority::make());
    let (file, strange) = (authority.file(), stranger.file());
    let root = |file: &Path| format!("sslrootcert={}", file.display());
    let (known, unknown) = (root(&file), root(&strange));
    let server = Postgres::encrypted(&authority.vouch_for("127.0.0.1"));
    let app = probe(None, None).await;
    for (host, demands, said) in [
        ("127.0.0.1", "connect_timeout=5".to_owned(), ENCRYPTED),
        ("127.0.0.1", "sslmode=disable".into(), PLAIN),
        ("127.0.0.1", "sslmode=prefer".into(), ENCRYPTED),
        ("127.0.0.1", format!("sslmode=prefer&{unknown}"), ENCRYPTED),
        ("127.0.0.1", "sslmode=require".into(), ENCRYPTED),
        ("localhost", format!("sslmode=require&{known}"), ENCRYPTED),
        (
            "127.0.0.1",
            format!("sslmode=require&{unknown}"),
            "UnknownIssuer",
        ),
        ("localhost", format!("sslmode=verify-ca&{known}"), ENCRYPTED),
        (
            "127.0.0.1",
            format!("sslmode=verify-ca&{unknown}"),
            "UnknownIssuer",
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-full&{known}"),
            ENCRYPTED,
        ),
        (
            "localhost",
            format!("sslmode=verify-full&{known}"),
            "not valid for name",
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-full&{unknown}"),
            "UnknownIssuer",
        ),
        ("127.0.0.1", "sslmode=verify-full".into(), "UnknownIssuer"),
        ("127.0.0.1", "sslrootcert=system".into(), "UnknownIssuer"),
        (
            "127.0.0.1",
            "sslmode=perhaps".into(),
            "`sslmode` is disable, prefer",
        ),
        (
            "127.0.0.1",
            "sslmode=verify-full&sslrootcert=/etc/passwd".into(),
            "has no certificates",
        ),
        (
            "127.0.0.1",
            "sslmode=verify-full&sslrootcert=/nowhere".into(),
            "has no certificates",
        ),
        (
            "127.0.0.1",
            "sslmode=verify-full&sslrootcert=/dev/zero".into(),
            "has no certificates",
        ),
    ] {
        let reply = reached(&app, &server, host, &demands).await;
        assert!(reply.contains(said), "{host} {demands}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_tls_is_reached_only_by_those_who_do_not_insist() {
    let server = Postgres::shared();
    let app = probe(None, None).await;
    for (demands, said) in [
        ("sslmode=disable", PLAIN),
        ("sslmode=prefer", PLAIN),
        ("sslmode=require", "does not support TLS"),
        ("sslmode=verify-full", "does not support TLS"),
    ] {
        let reply = reached(&app, server, "127.0.0.1", demands).await;
        assert!(reply.contains(said), "{demands}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_a_server_signed_itself_is_trusted_when_it_is_named() {
    let identity = Identity::self_signed("127.0.0.1");
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, _) = identity.write(folder.path());
    let server = Postgres::encrypted(&identity);
    let app = probe(None, None).await;
    let named = format!("sslmode=verify-full&sslrootcert={}", certificate.display());
    assert_eq!(reached(&app, &server, "127.0.0.1", &named).await, ENCRYPTED);
    let reply = reached(&app, &server, "localhost", &named).await;
    assert!(reply.contains("not valid for name"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_trusts_the_authorities_that_it_is_told_to() {
    let authority = Authority::make();
    let server = Postgres::encrypted(&authority.vouch_for("127.0.0.1"));
    let redis = Redis::encrypted(&authority.vouch_for("127.0.0.1"));
    let address = format!("rediss://127.0.0.1:{}", redis.tls_port());
    let told = probe(Some(address), Some(&authority.file())).await;
    for demands in ["sslmode=verify-full", "sslrootcert=system"] {
        let reply = reached(&told, &server, "127.0.0.1", demands).await;
        assert_eq!(reply, ENCRYPTED, "{demands}");
    }
    let reply = answered(&told, &redis, "127.0.0.1").await;
    assert_eq!(reply, "RedisResult::Status(\"PONG\")");
    let elsewhere = answered(&told, &redis, "localhost").await;
    assert!(elsewhere.contains("not valid for name"), "{elsewhere}");

    let stranger = Authority::make();
    let misled = probe(Some("redis://127.0.0.1:1".into()), Some(&stranger.file())).await;
    let reply = answered(&misled, &redis, "127.0.0.1").await;
    assert!(reply.contains("UnknownIssuer"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_the_trigger_through_tls_and_after_a_restart() {
    let authority = Authority::make();
    let mut redis = Redis::encrypted(&authority.vouch_for("127.0.0.1"));
    let address = format!("rediss://127.0.0.1:{}", redis.tls_port());
    let _app = probe(Some(address), Some(&authority.file())).await;
    hears(&redis).await;
    redis.restart();
    hears(&redis).await;
}

/// Waits until somebody listens, and until a message is handled.
async fn hears(redis: &Redis) {
    until(async || {
        let reply = redis.command("PUBSUB CHANNELS");
        reply.contains("news").then_some(())
    })
    .await;
    redis.command("SET heard 0");
    redis.command("PUBLISH news item");
    until(async || (!redis.command("GET heard").contains("\n0")).then_some(())).await;
}
