//! Extractors that refuse with problem+json and name the field.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request},
};
use http::{StatusCode, request::Parts};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The most bytes a JSON body may have.
const JSON_LIMIT: usize = 1 << 20;

/// A JSON body. Unknown members are ignored; a missing or mistyped one is refused
/// with its path.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = read_body(request.into_body(), JSON_LIMIT).await?;
        parse(&body).map(Self)
    }
}

/// A body that may be left out.
impl<T: DeserializeOwned, S: Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, Problem> {
        let body = read_body(request.into_body(), JSON_LIMIT).await?;
        match body.is_empty() {
            true => Ok(None),
            false => parse(&body).map(|value| Some(Self(value))),
        }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| invalid("invalid-body", &error))?;
    reader
        .end()
        .map_err(|error| Problem::bad_request("invalid-body", error.to_string()))?;
    Ok(value)
}

/// The query parameters. Unknown ones are ignored; a missing or mistyped one is
/// refused by name.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|error| Problem::bad_request("invalid-query", error.body_text()))
    }
}

/// The parameters of the path. What does not read as them names nothing.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|path| Self(path.0))
            .map_err(|error| Problem::not_found("no-such-route", error.body_text()))
    }
}

/// Read a body of at most `limit` bytes.
pub async fn read_body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    use http_body_util::{BodyExt as _, Limited};
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large(limit)),
        Err(error) => Err(Problem::bad_request(
            "invalid-body",
            format!("the body ends early: {error}"),
        )),
    }
}

/// The answer to a body over `limit` bytes.
pub fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too-large",
        format!("the body is over {limit} bytes"),
    )
}

fn invalid(code: &'static str, error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let problem = Problem::bad_request(code, error.inner().to_string());
    match missing_member(error) {
        Some(path) => problem.field(path),
        None => problem,
    }
}

/// The path of the member that is wrong. serde puts a missing member's name into
/// the message alone, so it is taken from there.
fn missing_member(error: &serde_path_to_error::Error<serde_json::Error>) -> Option<String> {
    let path = error.path().to_string();
    let message = error.inner().to_string();
    let missing = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next());
    match (missing, path.as_str()) {
        (Some(name), "." | "") => Some(name.to_owned()),
        (Some(name), path) => Some(format!("{path}.{name}")),
        (None, "." | "") => None,
        (None, path) => Some(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Order {
        #[expect(dead_code, reason = "only its presence counts")]
        item: Item,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Item {
        #[expect(dead_code, reason = "only its presence counts")]
        price: u32,
    }

    fn field_of(body: &str) -> Option<String> {
        let mut reader = serde_json::Deserializer::from_str(body);
        let error = serde_path_to_error::deserialize::<_, Order>(&mut reader).err()?;
        missing_member(&error)
    }

    #[test]
    fn the_wrong_member_is_named() {
        for (body, field) in [
            ("{}", Some("item")),
            (r#"{"item":{}}"#, Some("item.price")),
            (r#"{"item":{"price":"x"}}"#, Some("item.price")),
            ("[", None),
        ] {
            assert_eq!(field_of(body).as_deref(), field, "{body}");
        }
    }
}
