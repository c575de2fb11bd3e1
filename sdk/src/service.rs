//! The HTTP side of a service: its routes with request ids and trace context,
//! health, and OpenAPI.

use axum::{
    Router,
    body::Body,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tower_service::Service as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::{problem::Problem, trace::Trace};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a wake carries. It does not count: a wake may be lost, doubled or forged.
pub type Wake = bytes::Bytes;

/// Where a service describes itself. Only other components can ask: no route in
/// `spin.toml` leads there.
pub const OPENAPI_PATH: &str = "/openapi.json";

/// Finish the routes of a service: add its description, and answer what has no
/// route with problem+json.
pub fn routes(routes: OpenApiRouter) -> Router {
    let (router, api): (Router, OpenApi) = routes.split_for_parts();
    let description = api.to_json().unwrap_or_default();
    finish(router.route(
        OPENAPI_PATH,
        get(move || async move { ([("content-type", "application/json")], description) }),
    ))
}

/// Answer what has no route with problem+json.
pub fn finish(router: Router) -> Router {
    router
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
}

/// Serve one request.
///
/// The request id comes from the caller, if it is a plausible one, or is new; the
/// response carries it either way, and the trace that its events belong to.
pub async fn serve(router: &Router, request: spin_sdk::http::Request) -> Response {
    let mut request = request.map(Body::new);
    let request_id = request
        .headers()
        .get(REQUEST_ID)
        .filter(|id| is_plausible_id(id))
        .cloned()
        .unwrap_or_else(new_request_id);
    let trace = Trace::of_request(request.headers());
    let is_head = request.method() == Method::HEAD;
    request.extensions_mut().insert(trace);
    let mut response = match router.clone().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let headers = response.headers_mut();
    if is_head {
        // A response to HEAD has no body, and WASI hosts refuse a body that is
        // not as long as it says.
        headers.remove(header::CONTENT_LENGTH);
    }
    headers.insert(REQUEST_ID, request_id);
    if let Ok(value) = HeaderValue::from_str(&trace.to_header()) {
        headers.insert(TRACEPARENT, value);
    }
    response
}

fn is_plausible_id(id: &HeaderValue) -> bool {
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

fn new_request_id() -> HeaderValue {
    HeaderValue::from_str(&Uuid::now_v7().to_string())
        .unwrap_or_else(|_| HeaderValue::from_static("-"))
}

async fn no_such_route() -> Response {
    Problem::not_found("no-such-route", "nothing is served at this path").into_response()
}

async fn method_not_allowed() -> Response {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "this path does not answer to this method; see `Allow`",
    )
    .into_response()
}
