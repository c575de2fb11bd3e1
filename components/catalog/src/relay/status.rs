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
    /// `closed` when all is well; `open` while nothing is sent; `half-open` when
    /// one request may try.
    circuit: &'static str,
    /// When that may be, in milliseconds.
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
        let tries_in_ms = origin.tries_at_ms.map(|at| at.saturating_sub(now_ms()));
        Self {
            origin: origin.origin,
            circuit: match tries_in_ms {
                None => "closed",
                Some(0) => "half-open",
                Some(_) => "open",
            },
            tries_in_ms,
        }
    }
}
