//! The relay between the catalogue and upstream.

use std::time::Duration;

use emporium_tests::{
    app::{App, until},
    ingest,
    upstream::{Fault, Upstream},
};
use serde_json::{Value, json};

const SPECIES: &str = "/api/v2/pokemon-species/bulbasaur";
const DAY: Duration = Duration::from_secs(86_400);

async fn counts(app: &App) -> Value {
    app.get("/catalog/relay").await.json()["counts"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_is_asked_once_for_each_resource() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    let what = json!({"source": "pokeapi", "generation": "generation-i"});
    // At once: they want the same things at the same time.
    let [one, two] = [
        ingest::begin(&app, &what).await,
        ingest::begin(&app, &what).await,
    ];
    for id in [one, two] {
        assert_eq!(ingest::finish(&app, &id).await["state"], "finished");
    }
    let asked = upstream.counts();
    assert!(asked.values().all(|count| *count == 1), "{asked:?}");
    // A generation, two chains, three species and three varieties.
    let counts = until(async || {
        let counts = counts(&app).await;
        (counts["hit"] == 11).then_some(counts)
    })
    .await;
    assert_eq!(
        (&counts["miss"], &counts["sent"]),
        (&json!(9), &json!(9)),
        "{counts}"
    );
    let status = app.get("/catalog/relay").await.json();
    assert_eq!(status["origins"][0]["circuit"], "closed");
    assert!(status["shelves_used"].as_u64().expect("a number") <= 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_fresh_is_confirmed_not_sent_again() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    ingest::species(&app).await;
    app.clock.advance(2 * DAY);
    let again = ingest::species(&app).await;
    assert_eq!(
        (&again["state"], &again["unchanged"]),
        (&json!("finished"), &json!(3))
    );
    assert_eq!(upstream.confirmed(), 9);
    let counts = until(async || {
        let counts = counts(&app).await;
        (counts["revalidated"] == 9).then_some(counts)
    })
    .await;
    assert_eq!(counts["miss"], 9, "{counts}");
    // Confirmed is fresh again.
    ingest::species(&app).await;
    assert_eq!(upstream.count(SPECIES), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_says_how_long_an_answer_is_fresh() {
    let upstream = Upstream::start().await;
    upstream.cache_control(Some("max-age=60"));
    let app = App::of(upstream.manifest()).await;
    ingest::species(&app).await;
    app.clock.advance(Duration::from_secs(30));
    ingest::species(&app).await;
    assert_eq!(upstream.count(SPECIES), 1);
    app.clock.advance(Duration::from_secs(31));
    upstream.cache_control(Some("no-store"));
    upstream.species(1, "bulbasaur", 1, true);
    let changed = ingest::species(&app).await;
    assert_eq!(
        (&changed["stored"], &changed["unchanged"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(upstream.count(SPECIES), 2);
    ingest::species(&app).await;
    assert_eq!(upstream.count(SPECIES), 3, "it was not to be kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_remembered() {
    let upstream = Upstream::start().await;
    upstream.remove(SPECIES);
    upstream.cache_control(None);
    let app = App::of(upstream.manifest()).await;
    for _ in 0..2 {
        assert_eq!(ingest::species(&app).await["failed"], 1);
    }
    assert_eq!(upstream.count(SPECIES), 1);
    until(async || (counts(&app).await["negative"] == 1).then_some(())).await;
    app.clock.advance(Duration::from_secs(3_601));
    upstream.species(1, "bulbasaur", 1, false);
    assert_eq!(ingest::species(&app).await["state"], "finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_no_use_is_not_asked_for_again() {
    let upstream = Upstream::start().await;
    upstream.fault(SPECIES, Fault::Huge, 1);
    let app = App::of(upstream.manifest()).await;
    for _ in 0..2 {
        let ingest = ingest::species(&app).await;
        let failures = ingest::failures(&ingest);
        assert_eq!(failures.len(), 1, "{failures:?}");
        let (_, what, reason) = &failures[0];
        assert!(
            what == "bulbasaur" && reason.contains("over 8388608 bytes"),
            "{reason}"
        );
    }
    assert_eq!(upstream.count(SPECIES), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_upstream_is_away_what_is_kept_stands_in() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    ingest::species(&app).await;
    app.clock.advance(2 * DAY);
    for path in upstream.counts().into_keys() {
        upstream.fault(&path, Fault::Status(503), usize::MAX);
    }
    let again = ingest::species(&app).await;
    assert_eq!(
        (&again["state"], &again["unchanged"]),
        (&json!("finished"), &json!(3))
    );
    ingest::species(&app).await;
    until(async || {
        let status = app.get("/catalog/relay").await.json();
        let stood_in = status["counts"]["stale"] == 20;
        (stood_in && status["origins"][0]["circuit"] == "open").then_some(())
    })
    .await;
    app.clock.advance(Duration::from_secs(8 * 86_400));
    let what = json!({"source": "pokeapi", "generation": "generation-i"});
    let id = ingest::begin(&app, &what).await;
    let late = app.until_later(async || ingest::finished(&app, &id).await);
    let late = late.await;
    assert_eq!(
        late["lists"]["failed"], 1,
        "a week later it does not: {late}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_rest_gets_it() {
    let upstream = Upstream::start().await;
    let list = "/api/v2/generation/generation-i";
    upstream.fault(list, Fault::Rest(120), 1);
    let app = App::of(upstream.manifest()).await;
    let what = json!({"source": "pokeapi", "generation": "generation-i"});
    let id = ingest::begin(&app, &what).await;
    until(async || (upstream.count(list) == 1).then_some(())).await;
    let status = until(async || {
        let status = app.get("/catalog/relay").await.json();
        (status["origins"][0]["circuit"] == "open").then_some(status)
    })
    .await;
    let rest = status["origins"][0]["tries_in_ms"]
        .as_u64()
        .expect("a time");
    assert!((60_000..=120_000).contains(&rest), "{rest}");
    app.clock.advance(Duration::from_secs(120));
    let ingest = app.until_later(async || ingest::finished(&app, &id).await);
    assert_eq!(ingest.await["state"], "finished");
    assert_eq!(upstream.count(list), 2);
}
