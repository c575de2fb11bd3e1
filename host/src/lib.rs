#![doc = include_str!("../README.md")]
#![cfg_attr(test, expect(clippy::expect_used, reason = "a test may"))]

mod application;
/// Spin's interfaces, generated from the WIT in the `spin-sdk` package.
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
mod cache;
mod capability;
mod chores;
mod clock;
mod compose;
mod deny;
mod engine;
mod error;
mod events;
mod host;
mod http;
mod manifest;
mod net;
mod options;
mod output;
mod pace;
mod redis;
mod runtime_config;
mod state;
mod telemetry;
mod variables;

pub mod cli;

pub use clock::Clock;
pub use host::{Host, Running};
pub use manifest::Problems;
pub use options::{Limits, Options, Source};
pub use pace::Pace;
pub use redis::Subscription;
pub use state::State;
pub use telemetry::Telemetry;
pub use variables::Variables;
