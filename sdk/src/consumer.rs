//! Consuming events: what a service subscribes to, and the loop that claims events,
//! has them handled, and settles each with the unit that it led to.

mod commits;
mod contention;
mod drain;
pub mod failure_notice;
mod hand_back;
mod leases;
mod merge;
pub(crate) mod overlay;
mod pace;
mod quarantine;
mod received;
mod runs;
mod series;
mod subscription;

pub use self::{
    drain::{drain, drain_batches},
    received::Received,
    subscription::Subscription,
};
pub use crate::{
    deliveries::{AfterDeath, DuringRetry, Policy},
    verdict::Verdict,
};
