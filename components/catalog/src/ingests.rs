//! `/catalog/ingests`: starts ingests, and tells how far they are.

use axum::{
    Json,
    extract::Path,
    response::{IntoResponse as _, Response},
};
use emporium_sdk::{
    admin::Admin,
    catalog_events::{GenerationRequested, ProductPageRequested},
    document::{self, Listing, Order, Range, Selection, Stored},
    extract, idempotency,
    journal::CommitError,
    paging::{PageOf, Paging},
    problem::Problem,
    trace::Trace,
    unit::Unit,
};
use futures::future::try_join_all;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    SERVICE, generation,
    ingest::{Asked, BY_START, Ingest, Part, Piece},
    progress::{Progress, Written},
    relay::now_ms,
    settings::Settings,
};

/// The subject of all pages of products: they are read one after the other.
const OPEN_FOOD_FACTS: &str = "openfoodfacts";

/// What to ingest.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = IngestRequest)]
pub(crate) struct Request {
    /// `pokeapi` or `openfoodfacts`.
    source: String,
    /// Of `pokeapi`: `generation-i` to `generation-ix`, or `all`.
    generation: Option<String>,
    /// Of `openfoodfacts`: how many pages of 100 products; 1 if absent.
    pages: Option<u32>,
}

/// An ingest that was taken in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IngestAccepted)]
pub(crate) struct Accepted {
    id: String,
}

/// An ingest and how far it has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IngestView {
    id: String,
    #[serde(flatten)]
    asked: AskedView,
    /// Milliseconds since the Unix epoch.
    started_at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at_ms: Option<u64>,
    #[serde(flatten)]
    progress: Progress,
}

/// What an ingest reads.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IngestSource)]
struct AskedView {
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<u32>,
}

/// Start to read species or products.
///
/// What is there already is not stored again; files that were fetched are kept.
///
/// With an `Idempotency-Key`, the same request again starts nothing new.
#[utoipa::path(post, path = "/catalog/ingests", tag = "catalog", request_body = Request,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible characters")),
    security(("admin" = [])),
    responses(
        (status = 202, body = Accepted, headers(("Location" = String))),
        (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 422, body = Problem, description = "An `Idempotency-Key` used for another")))]
pub(crate) async fn start(
    _: Admin,
    trace: Trace,
    headers: HeaderMap,
    extract::Json(request): extract::Json<Request>,
) -> Result<Response, Problem> {
    let settings = Settings::get().await.map_err(Problem::internal)?;
    let asked = parse(&request, settings.page_limit)?;
    let ingest = Ingest {
        id: idempotency::identity(&headers)?.to_string(),
        started_at_ms: now_ms(),
        asked,
    };
    match first_step(&ingest, trace)?.commit().await {
        Ok(_) => {}
        Err(CommitError::Conflict(_)) => same_request(&ingest).await?,
        Err(error) => return Err(error.into()),
    }
    let location = format!("/catalog/ingests/{}", ingest.id);
    let location = HeaderValue::from_str(&location).map_err(Problem::internal)?;
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(Accepted { id: ingest.id }),
    )
        .into_response())
}

/// Check that an earlier request with the same `Idempotency-Key` asked for the same.
async fn same_request(again: &Ingest) -> Result<(), Problem> {
    match document::get::<Ingest>(&again.id).await? {
        Some(before) if before.value.asked == again.asked => Ok(()),
        _ => Err(idempotency::reused()),
    }
}

fn parse(request: &Request, page_limit: u32) -> Result<Asked, Problem> {
    let invalid =
        |field, detail: String| Problem::bad_request("invalid-ingest", detail).field(field);
    match request.source.as_str() {
        "pokeapi" => {
            let generation = request.generation.clone().unwrap_or_default();
            if generation::asked_for(&generation).is_none() {
                return Err(invalid(
                    "generation",
                    "`generation` is `generation-i` to `generation-ix`, or `all`".into(),
                ));
            }
            Ok(Asked::PokeApi { generation })
        }
        OPEN_FOOD_FACTS => match request.pages.unwrap_or(1) {
            pages if (1..=page_limit).contains(&pages) => Ok(Asked::OpenFoodFacts { pages }),
            _ => Err(invalid(
                "pages",
                format!("`pages` is from 1 to {page_limit}"),
            )),
        },
        _ => Err(invalid(
            "source",
            "`source` is `pokeapi` or `openfoodfacts`".into(),
        )),
    }
}

/// The ingest, its first parts and their events: all or nothing.
fn first_step(ingest: &Ingest, trace: Trace) -> Result<Unit, Problem> {
    let mut unit = Unit::new(SERVICE, trace);
    unit.create(ingest)?;
    match &ingest.asked {
        Asked::PokeApi { generation } => {
            for generation in generation::asked_for(generation).unwrap_or_default() {
                unit.create(&Part::open(
                    &ingest.id,
                    Piece::Generation(generation.into()),
                ))?;
                unit.publish(&GenerationRequested {
                    ingest: ingest.id.clone(),
                    generation: generation.into(),
                })?;
            }
        }
        Asked::OpenFoodFacts { pages } => {
            unit.create(&Part::open(&ingest.id, Piece::Page(1)))?;
            unit.publish(&ProductPageRequested {
                ingest: ingest.id.clone(),
                source: OPEN_FOOD_FACTS.into(),
                page: 1,
                last: *pages,
            })?;
        }
    }
    Ok(unit)
}

/// Tell how far an ingest has come.
#[utoipa::path(get, path = "/catalog/ingests/{id}", tag = "catalog", params(("id" = String, Path)),
    responses((status = 200, body = IngestView), (status = 404, body = Problem)))]
pub(crate) async fn get(Path(id): Path<String>) -> Result<Json<IngestView>, Problem> {
    let unknown = || Problem::not_found("no-such-ingest", "there is no ingest of this id");
    let id = Uuid::try_parse(&id).map_err(|_| unknown())?;
    let ingest = document::get::<Ingest>(id.to_string())
        .await?
        .ok_or_else(unknown)?;
    Ok(Json(view(ingest).await?))
}

/// List the ingests, the latest first.
#[utoipa::path(get, path = "/catalog/ingests", tag = "catalog", params(Paging),
    responses((status = 200, body = PageOf<IngestView>)))]
pub(crate) async fn list(paging: Paging) -> Result<Response, Problem> {
    let page = document::list::<Ingest>(Listing {
        selection: Selection::Within(Range {
            index: BY_START.into(),
            from: None,
            until: None,
        }),
        order: Order::Descending,
        limit: paging.limit,
        cursor: paging.cursor.clone(),
    })
    .await?;
    let views = try_join_all(page.documents.into_iter().map(view)).await?;
    Ok(paging.page(views, page.next))
}

async fn view(ingest: Stored<Ingest>) -> Result<IngestView, Problem> {
    let begun = ingest.value.started_at_ms;
    let progress = Progress::of(&parts(&ingest.value.id).await?, begun, now_ms());
    let asked = match ingest.value.asked {
        Asked::PokeApi { generation } => AskedView {
            source: "pokeapi",
            generation: Some(generation),
            pages: None,
        },
        Asked::OpenFoodFacts { pages } => AskedView {
            source: OPEN_FOOD_FACTS,
            generation: None,
            pages: Some(pages),
        },
    };
    Ok(IngestView {
        id: ingest.value.id,
        asked,
        started_at_ms: begun,
        finished_at_ms: progress.is_finished().then_some(progress.last_ms),
        progress,
    })
}

async fn parts(ingest: &str) -> Result<Vec<Written>, Problem> {
    let mut parts = Vec::new();
    let mut cursor = None;
    loop {
        let page = document::list::<Part>(Listing {
            selection: Selection::KeyPrefix(Part::prefix(ingest)),
            order: Order::Ascending,
            limit: 500,
            cursor,
        })
        .await?;
        parts.extend(
            page.documents
                .into_iter()
                .map(|part| (part.value, part.updated_at_ms)),
        );
        cursor = page.next;
        if cursor.is_none() {
            return Ok(parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(source: &str, generation: Option<&str>, pages: Option<u32>) -> Request {
        Request {
            source: source.into(),
            generation: generation.map(Into::into),
            pages,
        }
    }

    #[test]
    fn only_what_exists_can_be_asked_for() {
        let parsed = |request| parse(&request, 10).ok();
        assert_eq!(
            parsed(request("pokeapi", Some("all"), None)),
            Some(Asked::PokeApi {
                generation: "all".into()
            })
        );
        assert_eq!(
            parsed(request("openfoodfacts", None, None)),
            Some(Asked::OpenFoodFacts { pages: 1 })
        );
        for wrong in [
            request("pokeapi", None, None),
            request("pokeapi", Some("generation-x"), None),
            request("openfoodfacts", None, Some(0)),
            request("openfoodfacts", None, Some(11)),
            request("elsewhere", Some("all"), Some(1)),
        ] {
            assert!(parse(&wrong, 10).is_err(), "{wrong:?}");
        }
    }
}
