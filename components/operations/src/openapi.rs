//! `GET /openapi.json`: the descriptions of all services as one, and `GET /docs`
//! to read it.

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
    routing::get,
};
use emporium_sdk::problem::Problem;
use futures::future::join_all;
use utoipa::openapi::{
    Info, OpenApi,
    security::{Http, HttpAuthScheme, SecurityScheme},
};

use crate::{docs, neighbours};

/// The routes that describe the application; `own` describes this service.
pub(crate) fn routes(own: OpenApi) -> Router {
    let for_docs = own.clone();
    Router::new()
        .route(
            "/openapi.json",
            get(move || async move { merged(own).await.map(Json) }),
        )
        .route("/docs", get(move || docs_page(for_docs)))
}

async fn docs_page(own: OpenApi) -> Result<Response, Problem> {
    let description = merged(own).await?;
    let description = serde_json::to_value(description).map_err(Problem::internal)?;
    Ok(docs::page(&description).into_response())
}

async fn merged(own: OpenApi) -> Result<OpenApi, Problem> {
    let mut whole = own;
    whole.info = Info::new("Emporium", env!("CARGO_PKG_VERSION"));
    whole.info.description = Some(
        "Errors are `application/problem+json` (RFC 9457); `code` is the name of the case.".into(),
    );
    let ids = neighbours::ids().await?;
    let asked = ids.iter().map(|id| neighbours::ask(id, "/openapi.json"));
    for answer in join_all(asked).await {
        match answer.map(|(_, value)| serde_json::from_value::<OpenApi>(value)) {
            Ok(Ok(part)) => whole.merge(part),
            // One that cannot be read is left out; its health says why.
            Ok(Err(error)) => eprintln!("a description does not read: {error}"),
            Err(reason) => eprintln!("a description is missing: {reason}"),
        }
    }
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    whole
        .components
        .get_or_insert_default()
        .security_schemes
        .insert("admin".into(), bearer.into());
    Ok(whole)
}
