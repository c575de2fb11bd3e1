#![doc = include_str!("../README.md")]

pub mod cursor;
pub mod failure;
pub mod names;

pub mod documents;
pub mod listing;

pub mod blobs;

pub mod unit;

pub mod deliveries;
pub mod reason;
pub mod terms;
pub mod wakes;

pub mod dead_letters;

pub mod histogram;
pub mod maintenance;

pub mod workers;

pub use failure::Failure;
pub use terms::Terms;

/// The contracts, generated from `wit/`.
pub mod bindings {
    spin_sdk::wit_bindgen::generate!({
        world: "platform",
        path: "../wit",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        generate_all,
        pub_export_macro: true,
    });

    pub use exports::emporium::platform::*;
}
