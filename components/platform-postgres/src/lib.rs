#![doc = include_str!("../README.md")]

mod connection;
mod refused;
mod row;
mod schema;

mod documents;

mod blobs;
mod upload;

mod columns;
mod journal;

mod deliveries;

mod dead_letters;
mod maintenance;
mod workers;

/// The adapter.
pub struct Component;

// The names of exports have colons, which linkers of other targets do not take.
#[cfg(target_arch = "wasm32")]
emporium_adapter::bindings::export!(Component with_types_in emporium_adapter::bindings);
