//! Ingests while upstream fails: what recovers is stored, what does not is
//! accounted for, and nothing hangs.

use std::time::Duration;

use emporium_host::Limits;
use emporium_tests::{
    app::{App, until},
    ingest::{self, failures},
    pictures::flat_png,
    upstream::{Fault, Upstream},
};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_a_while_recovers() {
    let upstream = Upstream::start().await;
    upstream.fault("/api/v2/generation/generation-i", Fault::Status(500), 1);
    upstream.fault("/api/v2/pokemon-species/bulbasaur", Fault::Status(503), 1);
    upstream.fault("/api/v2/pokemon/2/", Fault::Reset, 1);
    upstream.fault("/media/1.png", Fault::Status(500), 1);
    upstream.fault("/media/2.ogg", Fault::Reset, 1);
    let app = App::of(upstream.manifest()).await;
    let ingest = ingest::species(&app).await;
    assert_eq!(ingest["state"], "finished", "{ingest}");
    assert_eq!(
        (&ingest["stored"], &ingest["media"]["stored"]),
        (&json!(3), &json!(12))
    );
    for (path, count) in upstream.counts() {
        assert!(count <= 2, "{path} was asked for {count} times");
    }
    // What came while something beside it failed was kept.
    assert_eq!(upstream.count("/api/v2/evolution-chain/1/"), 1);
    assert_eq!(upstream.count("/api/v2/pokemon-species/ivysaur"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_works_is_told_with_its_reason() {
    let upstream = Upstream::start().await;
    upstream.remove("/api/v2/pokemon-species/ivysaur");
    upstream.serve(
        "/api/v2/pokemon/151/",
        "application/json",
        b"{\"id\":".to_vec(),
    );
    upstream.fault("/media/1.png", Fault::WrongType, usize::MAX);
    upstream.fault("/media/1.svg", Fault::Huge, usize::MAX);
    upstream.fault("/media/1.gif", Fault::RedirectPrivate, usize::MAX);
    upstream.remove("/media/1.ogg");
    let app = App::of(upstream.manifest()).await;
    let ingest = ingest::species(&app).await;
    assert_eq!(ingest["state"], "finished-with-failures");
    assert_eq!(
        (&ingest["found"], &ingest["stored"], &ingest["failed"]),
        (&json!(3), &json!(1), &json!(2))
    );
    let media = json!({"found": 4, "stored": 0, "unchanged": 0, "failed": 4});
    assert_eq!(ingest["media"], media);
    let failures = failures(&ingest);
    assert_eq!(failures.len(), 6, "{failures:?}");
    for (what, reason) in [
        ("ivysaur", "there is none"),
        ("mew", "does not read"),
        ("/media/1.png", "neither PNG"),
        ("/media/1.svg", "over 8000000 bytes"),
        ("/media/1.gif", "169.254.169.254"),
        ("/media/1.ogg", "404"),
    ] {
        let told = failures
            .iter()
            .any(|(_, about, why)| about.ends_with(what) && why.contains(reason));
        assert!(told, "{what}: {reason}: {failures:?}");
    }
    // A species that was given up is a dead letter, and can be tried again.
    until(async || dead(&app, 2).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_away_ends_an_ingest_and_a_replay_mends_it() {
    let upstream = Upstream::start().await;
    upstream.fault(
        "/api/v2/pokemon-species/mew",
        Fault::Status(500),
        usize::MAX,
    );
    upstream.fault("/media/2.png", Fault::Status(500), usize::MAX);
    let app = App::of(upstream.manifest()).await;
    let what = json!({"source": "pokeapi", "generation": "generation-i"});
    let id = ingest::begin(&app, &what).await;
    let ingest = app.until_later(async || ingest::finished(&app, &id).await);
    let ingest = ingest.await;
    assert_eq!(
        (
            &ingest["stored"],
            &ingest["failed"],
            &ingest["media"]["failed"]
        ),
        (&json!(2), &json!(1), &json!(1)),
        "{ingest}"
    );
    assert!(upstream.count("/media/2.png") <= 5);
    // What an ingest says of an event comes before it is a dead letter.
    let dead = app.until_later(async || dead(&app, 2).await).await;

    upstream.fault("/api/v2/pokemon-species/mew", Fault::Status(500), 0);
    upstream.fault("/media/2.png", Fault::Status(500), 0);
    for letter in dead {
        let replay = format!("/platform/dead-letters/{}/replay", letter["id"]);
        let answer = app.admin(Method::POST, &replay).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    }
    let mended = app
        .until_later(async || {
            let ingest = ingest::finished(&app, &id).await;
            ingest.filter(|ingest| ingest["state"] == "finished")
        })
        .await;
    assert_eq!(
        (&mended["stored"], &mended["media"]["stored"]),
        (&json!(3), &json!(12))
    );
    assert_eq!(mended["failures"], Value::Array(Vec::new()));
}

/// The dead letters, if there are so many.
async fn dead(app: &App, count: usize) -> Option<Vec<Value>> {
    let page = app
        .admin(Method::GET, "/platform/dead-letters")
        .await
        .json();
    let letters = page["items"].as_array().expect("dead letters");
    (letters.len() == count).then(|| letters.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_ingest_keeps_the_media_and_fetches_what_is_missing() {
    let upstream = Upstream::start().await;
    let picture = upstream.body("/media/1.png");
    upstream.fault("/media/1.png", Fault::RedirectPrivate, 1);
    let app = App::of(upstream.manifest()).await;
    let first = ingest::species(&app).await;
    assert_eq!(first["media"]["failed"], 1, "{first}");
    upstream.serve("/media/1.png", "image/png", picture);
    let second = ingest::species(&app).await;
    assert_eq!(second["state"], "finished", "{second}");
    assert_eq!(
        second["media"],
        json!({"found": 12, "stored": 1, "unchanged": 11, "failed": 0})
    );
    let species = app.get("/pokemon/1").await.json();
    let media = species["varieties"][0]["media"].as_array().expect("media");
    assert_eq!(media.len(), 4);
    assert_eq!(upstream.count("/media/1.ogg"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_kills_its_handlers_is_accounted_for() {
    let upstream = Upstream::start().await;
    upstream.serve("/media/1.png", "image/png", flat_png(5000, 5000));
    // All of them are fetched beside it, and would not come to an end before it.
    for path in upstream.paths() {
        if path.starts_with("/media/") && path != "/media/1.png" {
            upstream.fault(&path, Fault::Late, usize::MAX);
        }
    }
    let memory = |limits: &mut Limits| limits.memory = 64 << 20;
    let app = App::with(upstream.manifest(), memory).await;
    let what = json!({"source": "pokeapi", "generation": "generation-i"});
    let id = ingest::begin(&app, &what).await;
    for attempt in 1..5 {
        until(async || (upstream.count("/media/1.png") == attempt).then_some(())).await;
        // Time to be killed, and then the lease of the killed.
        tokio::time::sleep(Duration::from_millis(300)).await;
        app.clock.advance(Duration::from_secs(51));
    }
    // Neighbours that the clock kept from settling are said to have failed before
    // their last attempt, which succeeds.
    let media = json!({"found": 12, "stored": 11, "unchanged": 0, "failed": 1});
    let ingest = until(async || {
        let ingest = ingest::finished(&app, &id).await?;
        (ingest["media"] == media).then_some(ingest)
    })
    .await;
    let failures = failures(&ingest);
    assert!(failures[0].1.ends_with("/media/1.png"), "{failures:?}");
    assert_eq!(failures[0].2, "the last attempt was cut off");
}
