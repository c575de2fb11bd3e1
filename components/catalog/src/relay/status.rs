//! `GET /catalog/relay`: how the relay is doing.

use axum::Json;
use emporium_sdk::{
    document::{self, Listing, Order, Selection},
    problem::Problem,
};
use serde::Serialize;
use spin_sdk::key_value::Store;
use utoipa::ToSchema;

use super::{
    STORE,
    counts::{self, Counts},
    now_ms,
    origin::Origin,
    shelf::SHELVES,
};

/// How the relay is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RelayStatus {
    /// Since the relay exists.
    counts: Counts,
    origins: Vec<OriginStatus>,
    /// Values in the key-value store, of at most 512.
    shelves_used: usize,
    shelves: u16,
}

/// How an origin is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RelayOrigin)]
struct OriginStatus {
    origin: String,
    /// `closed` when all is well; `open` while nothing is sent.
    circuit: &'static str,
    /// Failures in a row.
    failures: u32,
    /// When the next request may try, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    tries_in_ms: Option<u64>,
}

/// Look at the relay.
#[utoipa::path(get, path = "/catalog/relay", tag = "catalog",
    responses((status = 200, body = RelayStatus)))]
pub(crate) async fn status() -> Result<Json<RelayStatus>, Problem> {
    counts::flush().await;
    let origins = document::list::<Origin>(Listing {
        selection: Selection::Every,
        order: Order::Ascending,
        limit: 100,
        cursor: None,
    })
    .await?;
    let store = Store::open(STORE).await.map_err(Problem::unavailable)?;
    let keys = store.get_keys().await.collect().await;
    Ok(Json(RelayStatus {
        counts: counts::total().await?,
        origins: origins
            .documents
            .into_iter()
            .map(|origin| origin.value.into())
            .collect(),
        shelves_used: keys.map_err(Problem::unavailable)?.len(),
        shelves: SHELVES,
    }))
}

impl From<Origin> for OriginStatus {
    fn from(origin: Origin) -> Self {
        let now = now_ms();
        let open = origin.is_open(now);
        Self {
            circuit: if open { "open" } else { "closed" },
            failures: origin.failures,
            tries_in_ms: open.then(|| origin.closed_for_requests_until_ms - now),
            origin: origin.origin,
        }
    }
}
