//! `spin:redis` and the Redis trigger on a real server.

use std::time::{Duration, Instant};

use emporium_host::Limits;
use emporium_tests::{
    app::{App, send, until},
    probe::manifest,
    servers::Redis,
};
use reqwest::Method;

async fn probe(redis: &Redis) -> App {
    probe_with(redis, &redis.url(), |_| {}).await
}

async fn probe_with(redis: &Redis, url: &str, limit: impl FnOnce(&mut Limits)) -> App {
    let host = format!("['redis://127.0.0.1:{}']", redis.port());
    App::configured(manifest(&host, Some(url)), |options| {
        options.redis = Some(url.to_owned());
        limit(&mut options.limits);
    })
    .await
}

/// Runs commands of words on one connection; returns what came of each.
async fn run(app: &App, url: &str, script: &[&str]) -> Vec<String> {
    let request = app.request(Method::POST, &format!("/redis?{url}"));
    let answer = send(request.body(script.join("\n"))).await;
    answer.text().lines().map(str::to_owned).collect()
}

/// What the probe counted under a key.
fn counted(redis: &Redis, key: &str) -> u32 {
    let reply = redis.command(&format!("GET {key}"));
    reply
        .lines()
        .nth(1)
        .map_or(0, |count| count.parse().expect("a count"))
}

async fn until_counted(redis: &Redis, key: &str, count: u32) {
    until(async || (counted(redis, key) >= count).then_some(())).await;
}

/// How many messages the probe handled; it starts with one, when it is woken.
fn heard(redis: &Redis) -> u32 {
    counted(redis, "heard")
}

async fn until_heard(redis: &Redis, count: u32) {
    until_counted(redis, "heard", count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_what_spin_makes_of_them() {
    let redis = Redis::start();
    let app = probe(&redis).await;
    let said = run(
        &app,
        &redis.url(),
        &[
            "SET key value",
            "GET key",
            "GET none",
            "INCR count",
            "RPUSH list a b",
            "LRANGE list 0 -1",
            "EVAL return{1,{2,'x'},false} 0",
            "INCR key",
            "LPUSH key x",
            "NONSENSE",
        ],
    )
    .await;
    assert_eq!(
        said[..7],
        [
            "RedisResult::Status(\"OK\")",
            "RedisResult::Binary([118, 97, 108, 117, 101])",
            "RedisResult::Nil",
            "RedisResult::Int64(1)",
            "RedisResult::Int64(2)",
            "RedisResult::Binary([97]),RedisResult::Binary([98])",
            "RedisResult::Int64(1),RedisResult::Int64(2),RedisResult::Binary([120]),RedisResult::Nil",
        ]
    );
    assert!(said[7].contains("Error::TypeError"), "{}", said[7]);
    assert!(said[8].contains("Error::TypeError"), "{}", said[8]);
    assert!(said[9].contains("Error::Other"), "{}", said[9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_and_a_database_are_part_of_the_address() {
    let redis = Redis::with(&["--requirepass", "secret"]);
    let with = |rest: &str| format!("redis://{rest}127.0.0.1:{}", redis.port());
    let url = with(":secret@") + "/3";
    let app = probe_with(&redis, &url, |_| {}).await;
    assert_eq!(
        run(&app, &url, &["SET key x"]).await,
        ["RedisResult::Status(\"OK\")"]
    );
    let elsewhere = with(":secret@") + "/4";
    assert_eq!(
        run(&app, &elsewhere, &["GET key"]).await,
        ["RedisResult::Nil"]
    );
    for wrong in [with(""), with(":wrong@")] {
        let said = run(&app, &wrong, &["GET key"]).await.concat();
        assert!(said.contains("Error::Other"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_allowed_or_not_there_is_refused() {
    let redis = Redis::start();
    let app = probe(&redis).await;
    let said = run(&app, "redis://127.0.0.1:1", &["PING"]).await.concat();
    assert!(said.contains("InvalidAddress"), "{said}");
    let port = redis.port();
    let anywhere = manifest("['redis://*:*']", Some(&redis.url()));
    let app = App::configured(anywhere, |options| {
        options.redis = Some(format!("redis://localhost:{port}"));
    })
    .await;
    let said = run(&app, &format!("redis://127.0.0.1:{port}"), &["PING"])
        .await
        .concat();
    assert!(said.contains("loopback"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_blocks_or_lasts_concerns_only_its_component() {
    let redis = Redis::start();
    let (app, url) = (probe(&redis).await, redis.url());
    let blocked = run(&app, &url, &["BLPOP queue 20"]);
    let others = async {
        until(async || {
            redis
                .command("INFO clients")
                .contains("blocked_clients:1")
                .then_some(())
        })
        .await;
        let begin = Instant::now();
        assert_eq!(
            run(&app, &url, &["SET key x"]).await,
            ["RedisResult::Status(\"OK\")"]
        );
        assert!(begin.elapsed() < Duration::from_secs(10));
        redis.command("RPUSH queue x");
    };
    let (said, ()) = tokio::join!(blocked, others);
    assert_eq!(
        said,
        ["RedisResult::Binary([113, 117, 101, 117, 101]),RedisResult::Binary([120])"]
    );
    let said = run(
        &app,
        &url,
        &["MULTI", "SET key y", "EXEC", "SELECT 5", "GET key"],
    )
    .await;
    assert_eq!(
        said[2..],
        [
            "RedisResult::Status(\"OK\")",
            "RedisResult::Status(\"OK\")",
            "RedisResult::Nil"
        ]
    );
    // The next component has the database of its address.
    let got = run(&app, &url, &["GET key"]).await;
    assert_eq!(got, ["RedisResult::Binary([121])"]);
    let refused = run(&app, &url, &["SUBSCRIBE news", "GET key"]).await;
    assert!(refused[0].contains("trigger"), "{}", refused[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_command_after_a_restart_connects_again() {
    let mut redis = Redis::start();
    let (app, url) = (probe(&redis).await, redis.url());
    run(&app, &url, &["SET key x"]).await;
    redis.kill();
    let said = run(&app, &url, &["GET key"]).await.concat();
    assert!(said.contains("Error::Other"), "{said}");
    redis.restart();
    assert_eq!(run(&app, &url, &["GET key"]).await, ["RedisResult::Nil"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_does_not_hang_its_clients() {
    let redis = Redis::start();
    let (app, url) = (probe(&redis).await, redis.url());
    run(&app, &url, &["SET key x"]).await;
    redis.pause();
    let begin = Instant::now();
    let said = run(&app, &url, &["GET key"]).await.concat();
    assert!(said.contains("Error::Other"), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(15));
    redis.resume();
    assert_eq!(
        run(&app, &url, &["GET key"]).await,
        ["RedisResult::Binary([120])"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_the_trigger_and_a_restart_costs_seconds() {
    let mut redis = Redis::start();
    let _app = probe(&redis).await;
    until_heard(&redis, 1).await;
    redis.command("PUBLISH news one");
    until_heard(&redis, 2).await;
    redis.restart();
    let begin = Instant::now();
    // What was published meanwhile is lost: a wake stands for it.
    until_heard(&redis, 1).await;
    assert!(begin.elapsed() < Duration::from_secs(20));
    redis.command("PUBLISH news two");
    until_heard(&redis, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_starts_before_its_server() {
    let mut redis = Redis::start();
    redis.stop();
    let _app = probe(&redis).await;
    redis.restart();
    until_heard(&redis, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_channel_are_handled_at_once_as_far_as_is_said() {
    let redis = Redis::start();
    let url = redis.url();
    let _app = probe_with(&redis, &url, |limits| {
        limits.handlers = 1;
        limits.coalesce = false;
        limits.channel_handlers.insert("news".into(), 6);
    })
    .await;
    until_heard(&redis, 1).await;
    for _ in 0..6 {
        redis.command("PUBLISH news wait");
    }
    // None of them comes to its end before the test lets it.
    until_counted(&redis, "waiting", 6).await;
    redis.command("RPUSH gate 1 2 3 4 5 6");
    until_heard(&redis, 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wakes_is_merged() {
    let redis = Redis::start();
    let (app, url) = (probe(&redis).await, redis.url());
    until_heard(&redis, 1).await;
    let flood = "EVAL \"for i=1,100000 do redis.call('PUBLISH','news','x') end\" 0";
    redis.command(flood);
    assert_eq!(
        run(&app, &url, &["SET key x"]).await,
        ["RedisResult::Status(\"OK\")"]
    );
    // What waits is handled before the host stops.
    app.stop().await;
    assert!(heard(&redis) < 50_000, "{}", heard(&redis));
}
