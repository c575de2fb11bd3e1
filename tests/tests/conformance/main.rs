//! What every adapter of the platform contract has to do.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on says why"
)]

mod blobs;
mod breaker;
mod claims;
mod clock;
mod commits;
mod dead_letters;
mod delays;
mod documents;
mod events;
mod exactly_once;
mod followers;
mod forget;
mod leases;
mod limits;
mod listings;
mod model;
mod names;
mod ordering;
mod pauses;
mod policies;
mod postgres_only;
mod processes;
mod repeats;
mod retention;
mod retries;
mod schema;
mod sqlite_only;
mod status;
mod wakes;
mod workers;
