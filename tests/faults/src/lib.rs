//! The fault suite: what the platform promises, while everything under it fails.
//!
//! A scenario publishes entries in a ledger, brings a fault about, and lets the
//! books be audited: every acknowledged entry once and in order, and nothing
//! else. The product knows nothing of it: processes are killed from outside, at
//! moments that a proxy recognises in what they say to their servers.
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on says why")]

pub mod audit;
pub mod fleet;
pub mod host;
pub mod ledger;
pub mod load;
pub mod manifest;
pub mod proxy;
pub mod record;
pub mod report;
pub mod scenario;
pub mod scenarios;
pub mod servers;
pub mod stage;
pub mod wiring;
