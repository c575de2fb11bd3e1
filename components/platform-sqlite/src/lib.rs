#![doc = include_str!("../README.md")]

mod clock;
mod connection;
mod failure;
mod row;
mod schema;

mod documents;

mod blobs;
mod upload;

mod document_writes;
mod journal;
mod publication;
mod settlement;

mod claim;
mod deliveries;
mod due;
mod followers;
mod pauses;
mod subscriptions;
mod succession;
mod verdicts;

mod dead_letters;

mod maintenance;
mod status;
mod sweep;
mod work;

mod workers;

/// The adapter.
pub struct Component;

// The names of exports have colons, which linkers of other targets do not take.
#[cfg(target_arch = "wasm32")]
emporium_adapter::bindings::export!(Component with_types_in emporium_adapter::bindings);
