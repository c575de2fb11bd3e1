//! A service that keeps books, so that a fault shows: what was lost, what was
//! entered twice, and what stands in the wrong order.

mod account;
mod conduct;
mod effect;
mod entry;
mod terms;

use axum::{
    Json, Router,
    extract::Path,
    routing::{get, post},
};
use emporium_sdk::{
    consumer::{Received, Verdict, drain},
    document::{self, Document, Listing, Order, Selection},
    extract::{Json as Body, Query},
    problem::Problem,
    service,
    unit::Unit,
};
use http::StatusCode;
use serde::Deserialize;
use spin_sdk::variables;

use crate::{account::Account, effect::Effect, entry::Entry};

const SERVICE: &str = "ledger";

service! {
    routes: service::finish(
        Router::new()
            .route("/ledger/entries", post(publish))
            .route("/ledger/missing", post(missing))
            .route("/ledger/effects", get(list::<Effect>))
            .route("/ledger/accounts", get(list::<Account>))
            .route("/ledger/accounts/{name}", get(account)),
    ),
    wakes: drain(&terms::subscription().await, on_entry),
}

/// All of them or none.
async fn publish(Body(entries): Body<Vec<Entry>>) -> Result<StatusCode, Problem> {
    entry::publish(&entries).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Which of these events have no effect yet.
async fn missing(Body(ids): Body<Vec<String>>) -> Result<Json<Vec<String>>, Problem> {
    let found = document::get_many::<Effect>(ids.clone()).await?;
    let missing = ids.into_iter().zip(found);
    let missing = missing.filter_map(|(id, effect)| effect.is_none().then_some(id));
    Ok(Json(missing.collect()))
}

#[derive(Deserialize)]
struct Part {
    cursor: Option<String>,
}

async fn list<D: Document>(
    Query(part): Query<Part>,
) -> Result<Json<(Vec<D>, Option<String>)>, Problem> {
    let page = document::list::<D>(Listing {
        selection: Selection::Every,
        order: Order::Ascending,
        limit: 500,
        cursor: part.cursor,
    })
    .await?;
    let values = page.documents.into_iter().map(|stored| stored.value);
    Ok(Json((values.collect(), page.next)))
}

async fn account(Path(name): Path<String>) -> Result<Json<Account>, Problem> {
    let account = document::get::<Account>(name).await?;
    let account = account.ok_or_else(|| Problem::not_found("no-such-account", "not yet"))?;
    Ok(Json(account.value))
}

/// Enter it in the effects and in its account.
async fn on_entry(received: &Received) -> Result<Unit, Verdict> {
    let entry: Entry = received.data()?;
    conduct::follow(entry.conduct, received.attempt()).await?;
    let mut unit = received.unit();
    match document::get::<Effect>(received.id()).await? {
        None => unit.create(&Effect {
            event: received.id().into(),
            account: entry.account.clone(),
            number: entry.number,
            worker: variables::get("worker").await.ok(),
            attempt: received.attempt(),
            times: 1,
        })?,
        Some(mut effect) => {
            effect.value.times += 1;
            unit.update(&effect)?;
        }
    }
    match document::get::<Account>(&entry.account).await? {
        None => unit.create(&Account {
            name: entry.account,
            numbers: vec![entry.number],
        })?,
        Some(mut account) => {
            account.value.numbers.push(entry.number);
            unit.update(&account)?;
        }
    }
    Ok(unit)
}
