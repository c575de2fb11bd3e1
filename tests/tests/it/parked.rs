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
        let connection = database(app);
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
    write_under(app, "same", name).await
}

async fn write_under(app: &App, key: &str, name: &str) -> Answer {
    let trials = json!([{"name": name, "key": key, "mode": "work"}]);
    app.post_json("/trial/parked-trials", &trials).await
}

/// Park writes under keys, the first of which fails for a reason that the platform
/// does not know; returns where to ask for each. The fault is mended by dropping
/// the trigger `fault`.
async fn park_behind_a_fault(app: &App, writes: &[(&str, &str)]) -> Vec<String> {
    let (_, faulty) = writes.first().expect("a write");
    let fault = format!(
        "CREATE TRIGGER fault BEFORE INSERT ON documents WHEN NEW.key = '{faulty}' \
         BEGIN SELECT RAISE(ABORT, 'a fault of its own'); END"
    );
    database(app).execute_batch(&fault).expect("a trigger");
    let outage = Outage::begin(app);
    let mut asked = Vec::new();
    for (key, name) in writes {
        let answer = write_under(app, key, name).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        asked.push(answer.header("location").to_owned());
    }
    outage.end();
    asked
}

fn database(app: &App) -> Connection {
    let connection = Connection::open(app.state().join("sqlite-default.db")).expect("the database");
    let timeout = std::time::Duration::from_secs(30);
    connection.busy_timeout(timeout).expect("a timeout");
    connection
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

// One that failed with `other` used to hold up everything behind it, for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_parked_write_with_a_fault_of_its_own_holds_up_only_its_key() {
    let app = start().await;
    assert_eq!(write(&app, "before").await.status, 201);
    effect(&app, "before").await;
    let writes = [("k", "faulty"), ("k", "behind"), ("other", "beside")];
    let asked = park_behind_a_fault(&app, &writes).await;
    assert_eq!(effect(&app, "beside").await["times"], 1);
    for place in &asked[..2] {
        assert_eq!(app.get(place).await.json()["status"], "waiting");
    }
    assert_eq!(app.get("/trial/effects/behind").await.status, 404);

    database(&app)
        .execute_batch("DROP TRIGGER fault")
        .expect("dropped");
    // The next attempt is some seconds away.
    app.until_later(async || parked(&app).await.is_empty().then_some(()))
        .await;
    let path = "/platform/events?after=0&limit=500";
    let events = app.admin(Method::GET, path).await.json();
    let published: Vec<_> = events
        .as_array()
        .expect("events")
        .iter()
        .map(|event| event["event"]["data"]["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(published, ["before", "beside", "faulty", "behind"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_write_with_a_fault_of_its_own_is_rejected_in_the_end() {
    let app = start().await;
    assert_eq!(write(&app, "before").await.status, 201);
    effect(&app, "before").await;
    let asked = park_behind_a_fault(&app, &[("k", "faulty"), ("k", "behind")]).await;
    let refused = until(async || {
        // Attempts are up to minutes apart.
        app.clock.advance(std::time::Duration::from_secs(60));
        let asked = app.get(&asked[0]).await.json();
        (asked["status"] == "rejected").then_some(asked)
    })
    .await;
    let reason = refused["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("a fault of its own") && reason.contains("6 attempts"),
        "{reason}"
    );
    assert_eq!(effect(&app, "behind").await["times"], 1);

    database(&app)
        .execute_batch("DROP TRIGGER fault")
        .expect("dropped");
    let retry = format!("{}/retry", asked[0]);
    let answer = app.admin(Method::POST, &retry).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(effect(&app, "faulty").await["times"], 1);
    until(async || parked(&app).await.is_empty().then_some(())).await;
    let again = app.admin(Method::POST, &retry).await;
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
