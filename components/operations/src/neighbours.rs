//! The other services, asked over service chaining.

use emporium_sdk::{problem::Problem, variables::Variables};
use http::StatusCode;
use serde_json::Value;
use spin_sdk::http::{body::IncomingBodyExt as _, get};

/// The most bytes of an answer that are read.
const ANSWER_LIMIT: usize = 4 << 20;

/// The component ids of the services that are asked.
pub(crate) async fn ids() -> Result<Vec<String>, Problem> {
    let mut variables = Variables::new();
    let list: Option<String> = variables.get("services").await;
    let list = variables.finish(list).map_err(Problem::internal)?;
    Ok(list
        .split(',')
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty())
        .collect())
}

/// Ask a service; `Err` says in words why there was no JSON answer.
pub(crate) async fn ask(id: &str, path: &str) -> Result<(StatusCode, Value), String> {
    let response = get(format!("http://{id}.spin.internal{path}"))
        .await
        .map_err(|error| format!("`{id}` does not answer: {error}"))?;
    let status = response.status();
    let body = response
        .into_body()
        .bytes()
        .await
        .map_err(|error| format!("`{id}` breaks off: {error}"))?;
    if body.len() > ANSWER_LIMIT {
        return Err(format!("`{id}` answers with {} bytes", body.len()));
    }
    let value = serde_json::from_slice(&body)
        .map_err(|error| format!("`{id}` answers {status} without JSON: {error}"))?;
    Ok((status, value))
}
