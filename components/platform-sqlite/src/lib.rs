#![doc = include_str!("../README.md")]

mod clock;
mod connection;
mod cursor;
mod failure;
mod names;
mod row;
mod schema;
mod wakes;

mod documents;
mod listing;

mod blobs;
mod upload;

mod document_writes;
mod journal;
mod publication;

mod claim;
mod deliveries;
mod subscriptions;
mod succession;
mod verdicts;

mod dead_letters;

mod maintenance;
mod status;
mod sweep;

/// The contracts, generated from `wit/`.
mod bindings {
    spin_sdk::wit_bindgen::generate!({
        world: "platform-sqlite",
        path: "../../wit",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        generate_all,
    });

    pub(crate) use exports::emporium::platform::*;
}

struct Component;

// The names of exports have colons, which linkers of other targets do not take.
#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);
