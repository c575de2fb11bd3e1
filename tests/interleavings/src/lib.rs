//! The interleaving suite: what the platform promises, in every order in which
//! its operations can meet.
//!
//! Two or three operations run against a small start state. Each is held at every
//! statement, and a schedule says which of them goes on, and how far. All
//! schedules up to a number of preemptions are played; after each one the state is
//! held against what must be true whatever the order was.
#![expect(
    clippy::collapsible_match,
    clippy::manual_strip,
    reason = "the branches stand beside their neighbours, of the same shape"
)]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on says why"
)]

pub mod crew;
pub mod explore;
pub mod judge;
pub mod ledger;
pub mod operations;
pub mod postgres;
pub mod program;
pub mod report;
pub mod request;
pub mod schedule;
pub mod script;
pub mod sqlite;
pub mod starts;
pub mod suite;
pub mod world;
