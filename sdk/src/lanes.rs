//! Several who claim events of one subscription side by side.

use futures::future::join_all;

use crate::{
    consumer::{Received, Subscription, Verdict, drain},
    deliveries,
    unit::Unit,
};

/// Handle what is due of a subscription, as [`drain`] does, in so many lanes.
///
/// An event that takes long holds up those that were claimed with it, and no
/// others: that is for handlers which wait for servers elsewhere.
pub async fn drain_in_lanes(
    lanes: usize,
    subscription: &Subscription,
    handle: impl AsyncFn(&Received) -> Result<Unit, Verdict>,
) -> Result<(), deliveries::Error> {
    let lanes = (0..lanes).map(|_| drain(subscription, &handle));
    join_all(lanes).await.into_iter().collect()
}
