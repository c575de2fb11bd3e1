//! Cursor pagination: `limit` and `cursor` in, `Link` (RFC 8288) out.

use axum::{
    Json,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Uri, header, request::Parts};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};

use crate::{extract::Query, problem::Problem};

/// The part of a listing that a request asks for.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// At most so many, from 1 to 100; 20 if absent.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: u32,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    #[serde(skip)]
    #[param(ignore)]
    uri: Uri,
}

/// A page as callers see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageOf<T> {
    items: Vec<T>,
    /// Pass it on as `cursor`; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

fn default_limit() -> u32 {
    20
}

impl Paging {
    /// Answer with one page of a listing.
    pub fn page<T: Serialize>(&self, items: Vec<T>, next: Option<String>) -> Response {
        let link = next.as_deref().and_then(|cursor| self.link(cursor));
        let mut response = Json(PageOf { items, next }).into_response();
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }

    fn link(&self, cursor: &str) -> Option<HeaderValue> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let given = self.uri.query().unwrap_or_default();
        query.extend_pairs(
            form_urlencoded::parse(given.as_bytes()).filter(|(name, _)| name != "cursor"),
        );
        query.append_pair("cursor", cursor);
        let link = format!("<{}?{}>; rel=\"next\"", self.uri.path(), query.finish());
        HeaderValue::from_str(&link).ok()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(mut paging) = Query::<Self>::from_request_parts(parts, state).await?;
        if !(1..=100).contains(&paging.limit) {
            return Err(
                Problem::bad_request("invalid-query", "`limit` is not from 1 to 100")
                    .field("limit"),
            );
        }
        paging.uri = parts.uri.clone();
        Ok(paging)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_keeps_the_filters() {
        let paging = Paging {
            limit: 2,
            cursor: None,
            uri: Uri::from_static("/images?status=FINISHED&limit=2&cursor=old"),
        };
        let link = paging.link("a b");
        assert_eq!(
            link,
            Some(HeaderValue::from_static(
                "</images?status=FINISHED&limit=2&cursor=a+b>; rel=\"next\""
            ))
        );
    }
}
