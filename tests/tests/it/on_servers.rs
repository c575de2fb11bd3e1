//! The application of `spin.toml` on Postgres and Redis servers, by one host and
//! by several.

use emporium_tests::{
    app::{App, manifest, until},
    ingest,
    pictures::png,
    servers::{Postgres, Redis},
    upstream::Upstream,
};
use reqwest::Method;
use serde_json::json;

async fn host(database: &str) -> App {
    App::configured(manifest(), |options| {
        options.postgres = Some(database.to_owned());
        options.redis = Some(Redis::shared().url());
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_dithered_and_deleted() {
    let app = host(&Postgres::shared().database()).await;
    let uuid = app.dithered("a.png", png(64, 48)).await;
    let file = app.get(&format!("/dither/images/{uuid}/2/file")).await;
    assert_eq!(file.header("content-type"), "image/png");
    let path = format!("/images/{uuid}/file");
    let part = app.get_with(&path, "range", "bytes=0-7").await;
    assert_eq!(part.body, b"\x89PNG\r\n\x1a\n");
    assert_eq!(app.delete(&format!("/images/{uuid}")).await.status, 202);
    app.until_status(&format!("/images/{uuid}"), 404).await;
    app.until_status(&format!("/dither/images/{uuid}/2/file"), 404)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_share_what_they_know_and_do() {
    let database = Postgres::shared().database();
    let (first, second) = (host(&database).await, host(&database).await);
    let uuid = first.uploaded("a.png", png(8, 8)).await;
    second.image_in(&uuid, "FINISHED").await;
    until(async || {
        let workers = second.admin(Method::GET, "/platform/workers").await.json();
        (workers.as_array().map(Vec::len) == Some(2)).then_some(())
    })
    .await;
    let gone = first.origin.clone();
    first.stop().await;
    let uuid = second.uploaded("b.png", png(8, 9)).await;
    second.image_in(&uuid, "FINISHED").await;
    let workers = second.admin(Method::GET, "/platform/workers").await.json();
    let gone = gone.strip_prefix("http://").expect("an address");
    assert!(!workers.to_string().contains(gone), "{workers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_database_is_a_503_and_no_more() {
    let mut postgres = Postgres::start();
    let app = host(&postgres.database()).await;
    let uuid = app.dithered("a.png", png(8, 8)).await;
    postgres.stop();
    let away = app.get(&format!("/images/{uuid}")).await;
    away.assert_problem(503, "unavailable");
    assert_eq!(app.get("/health").await.status, 503);
    postgres.restart();
    app.until_status(&format!("/images/{uuid}"), 200).await;
    app.dithered("b.png", png(9, 9)).await;
    app.until_status("/health", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_share_a_folder_ask_upstream_once_for_all() {
    let upstream = Upstream::start().await;
    let database = Postgres::shared().database();
    let state = tempfile::tempdir().expect("a folder");
    let host = || {
        App::configured(upstream.manifest(), |options| {
            options.postgres = Some(database.clone());
            options.redis = Some(Redis::shared().url());
            options.state = state.path().to_owned();
        })
    };
    let (first, second) = (host().await, host().await);
    let ingest = ingest::species(&first).await;
    assert_eq!(ingest["state"], "finished", "{ingest}");
    let media = json!({"found": 12, "stored": 12, "unchanged": 0, "failed": 0});
    assert_eq!((&ingest["stored"], &ingest["media"]), (&json!(3), &media));
    let again = ingest::species(&second).await;
    assert_eq!(
        (&again["unchanged"], &again["media"]["unchanged"]),
        (&json!(3), &json!(12))
    );
    let asked = upstream.counts();
    assert!(asked.values().all(|count| *count == 1), "{asked:?}");
}
