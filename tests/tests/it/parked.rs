//! Writes while the database is away: taken, and made when it is back.

use std::time::Instant;

use emporium_tests::app::{Answer, App, until};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::trial::{effect, trial_manifest};

/// Nobody else writes while this lives.
struct Outage(Connection);

impl Outage {
    fn begin(app: &App) -> Self {
        let path = app.state().join("sqlite-default.db");
        let connection = Connection::open(path).expect("the database");
        connection
            .busy_timeout(std::time::Duration::from_secs(30))
            .expect("a timeout");
        connection
            .execute_batch("BEGIN EXCLUSIVE")
            .expect("the lock");
        Self(connection)
    }

    fn end(self) {
        self.0.execute_batch("ROLLBACK").expect("the end");
    }
}

/// Start `trial` with time to wait: the adapter for SQLite gives a lock up after
/// five seconds, and nothing else of the instance runs meanwhile.
async fn start() -> App {
    App::of(trial_manifest()).await
}

async fn write(app: &App, name: &str) -> Answer {
    let trials = json!([{"name": name, "key": "same", "mode": "work"}]);
    app.post_json("/trial/parked-trials", &trials).await
}

async fn parked(app: &App) -> Vec<Value> {
    let answer = app.admin(Method::GET, "/platform/parked").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_parked_while_the_database_is_away_and_made_once_in_order() {
    let app = start().await;
    assert_eq!(write(&app, "before").await.status, 201);
    effect(&app, "before").await;

    let outage = Outage::begin(&app);
    let names = ["first", "second", "third"];
    for name in names {
        let begun = Instant::now();
        let answer = write(&app, name).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
        let id = answer.json()["id"].as_str().expect("an id").to_owned();
        let place = answer.header("location").to_owned();
        assert_eq!(place, format!("/platform/parked/{id}"));
        let asked = app.get(&place).await.json();
        assert_eq!(
            (&asked["status"], &asked["service"]),
            (&"waiting".into(), &"trial".into())
        );
    }
    let listed = parked(&app).await;
    let listed: Vec<_> = listed
        .iter()
        .map(|parked| parked["documents"][0]["key"].as_str().expect("a key"))
        .collect();
    assert_eq!(listed, names);
    outage.end();

    for name in names {
        assert_eq!(effect(&app, name).await["times"], 1);
    }
    until(async || parked(&app).await.is_empty().then_some(())).await;
    let path = "/platform/events?after=0&limit=500";
    let events = app.admin(Method::GET, path).await.json();
    let published: Vec<_> = events
        .as_array()
        .expect("events")
        .iter()
        .map(|event| event["event"]["data"]["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(published, ["before", "first", "second", "third"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_write_that_can_never_be_made_stays_visible() {
    let app = start().await;
    assert_eq!(write(&app, "taken").await.status, 201);
    let outage = Outage::begin(&app);
    let answer = write(&app, "taken").await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let place = answer.header("location").to_owned();
    assert_eq!(write(&app, "free").await.status, 202);
    outage.end();

    effect(&app, "free").await;
    let refused = until(async || {
        let asked = app.get(&place).await.json();
        (asked["status"] == "rejected").then_some(asked)
    })
    .await;
    let reason = refused["reason"].as_str().expect("a reason");
    assert!(reason.contains("taken"), "{reason}");
    assert_eq!(app.admin(Method::DELETE, &place).await.status, 204);
    app.get(&place)
        .await
        .assert_problem(404, "no-such-parked-write");
    let again = app.admin(Method::DELETE, &place).await;
    again.assert_problem(404, "no-such-parked-write");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_write_is_said_at_once() {
    let app = start().await;
    assert_eq!(write(&app, "taken").await.status, 201);
    let again = write(&app, "taken").await;
    again.assert_problem(409, "conflict");
    assert_eq!(parked(&app).await, [] as [Value; 0]);
    app.get("/platform/parked")
        .await
        .assert_problem(401, "unauthorised");
}
