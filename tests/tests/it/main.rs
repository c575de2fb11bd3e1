//! The application end to end: real components in a real host, one file per
//! behaviour.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says why"
)]

mod capabilities;
mod catalog;
mod cli;
mod crash;
mod dead_letters;
mod deadlines;
mod deletion;
mod dithering;
mod docs;
mod events_command;
mod failure;
mod files;
mod flow;
mod forget;
mod gallery;
mod guards;
mod health;
mod idempotency;
mod imports;
mod ingest_failures;
mod limits;
mod listing;
mod media_files;
mod metadata;
mod metrics;
mod on_servers;
mod parked;
mod pauses;
mod postgres;
mod products;
mod redis;
mod relay;
mod retention;
mod runtime_config;
mod servers;
mod slow_uploads;
mod soundtrack;
mod soundtrack_hosts;
mod spans;
mod species_pages;
mod survival;
mod tidy;
mod tls;
mod tracing;
mod trial;
mod upload;
mod variants;
mod workers;
