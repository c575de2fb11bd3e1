//! The guest library of Emporium: what every service is written with.
//!
//! A service reads [`document`]s, decides, and commits a [`unit`] of work:
//! documents and [`event`]s together, or nothing. The [`consumer`] loop hands
//! it the events it subscribed to, and settles each with the unit it led to.
//! [`service!`] exports both, [`service`](mod@service) serves its HTTP routes, and
//! [`problem`] turns every failure into an answer a caller can act upon.
#![cfg_attr(
    test,
    expect(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test that cannot go on says why"
    )
)]

pub mod address;
pub mod admin;
pub mod blob;
mod component;
pub mod consumer;
pub mod document;
pub mod download;
pub mod event;
pub mod extract;
mod group;
mod group_commit;
mod group_read;
pub mod health;
pub mod idempotency;
pub mod name;
pub mod outbound;
pub mod paging;
pub mod park;
mod platform;
pub mod problem;
pub mod service;
mod signal;
pub mod trace;
pub mod unit;
pub mod upload;
pub mod variables;
pub mod verdict;
pub mod worker;

/// The platform's interfaces.
///
/// A component that generates bindings for a world of its own maps these in with
/// `with`, so that there is one set of types.
pub mod bindings {
    #![expect(missing_docs, reason = "generated from ../wit, where the words are")]
    spin_sdk::wit_bindgen::generate!({
        world: "sdk",
        path: "../wit",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        additional_derives: [serde::Serialize, serde::Deserialize],
        // Some interfaces hold nothing but records.
        generate_unused_types: true,
        additional_derives_ignore: ["upload"],
        generate_all,
    });
}

pub use bindings::emporium::platform::{
    blobs, catalog_events, dead_letters, deliveries, documents, image_events, journal, maintenance,
    soundtrack_events, workers,
};
