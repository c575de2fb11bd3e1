//! Verbs for ingests of the catalogue.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{ADMIN, Client, send, until};

/// Start an ingest; returns its id.
pub async fn begin(app: &Client, what: &Value) -> String {
    let request = app.request(Method::POST, "/catalog/ingests");
    let answer = send(request.bearer_auth(ADMIN).json(what)).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(answer.header("location"), format!("/catalog/ingests/{id}"));
    id
}

/// Wait until an ingest has finished; returns its account.
pub async fn finish(app: &Client, id: &str) -> Value {
    until(async || finished(app, id).await).await
}

/// The account of an ingest, if it has finished.
pub async fn finished(app: &Client, id: &str) -> Option<Value> {
    let ingest = app.get(&format!("/catalog/ingests/{id}")).await.json();
    let state = ingest["state"].as_str().expect("a state");
    state.starts_with("finished").then_some(ingest)
}

/// Ingest the first generation; returns the account.
pub async fn species(app: &Client) -> Value {
    let id = begin(
        app,
        &json!({"source": "pokeapi", "generation": "generation-i"}),
    )
    .await;
    finish(app, &id).await
}

/// Ingest so many pages of products; returns the account.
pub async fn products(app: &Client, pages: u32) -> Value {
    let id = begin(app, &json!({"source": "openfoodfacts", "pages": pages})).await;
    finish(app, &id).await
}

/// What failed, and why: the kind, the thing and the reason.
pub fn failures(ingest: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let failures = ingest["failures"].as_array().expect("failures");
    failures
        .iter()
        .map(|failure| {
            (
                text(&failure["kind"]),
                text(&failure["what"]),
                text(&failure["reason"]),
            )
        })
        .collect()
}
