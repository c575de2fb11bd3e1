//! What services say of the variables they were given.
//!
//! Only a service knows what its variables have to look like. It says so among
//! the checks of `/{service}/health`, as `configuration`.

use std::{collections::BTreeSet, future::pending, net::SocketAddr};

use anyhow::{Error, Result, anyhow};
use futures::future::join_all;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use serde::Deserialize;

use crate::net::client::{Client, client};

#[derive(Deserialize)]
struct Health {
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    healthy: bool,
    detail: Option<String>,
}

/// Waits until it is known that services are wrongly configured, and says how:
/// forever, if they are not.
pub(super) async fn wrong(address: SocketAddr, services: BTreeSet<String>) -> Error {
    let client = client();
    let asked = services
        .iter()
        .map(|service| complaint(&client, address, service));
    let complaints: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    match complaints.is_empty() {
        true => pending().await,
        false => anyhow!("wrong variables:\n  {}", complaints.join("\n  ")),
    }
}

/// What is wrong with a service, if it says so. One that cannot be asked is up
/// to whoever watches its health.
async fn complaint(client: &Client, address: SocketAddr, service: &str) -> Option<String> {
    let health = health(client, address, service).await.ok()?;
    let said = health
        .checks
        .into_iter()
        .find(|check| check.name == "configuration" && !check.healthy)?;
    let detail = said.detail.unwrap_or_else(|| said.name.clone());
    Some(format!("{service}: {detail}"))
}

async fn health(client: &Client, address: SocketAddr, service: &str) -> Result<Health> {
    let url = format!("http://{address}/{service}/health");
    let request = Request::get(url).body(Full::default())?;
    let answer = client.request(request).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&body)?)
}
