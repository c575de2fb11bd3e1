//! What the host says about its own work: figures, and spans for a collector of
//! OpenTelemetry.
//!
//! Without a collector there is no [`Tracer`](tracer::Tracer), and nothing here
//! costs anything but counting.

mod config;
pub(crate) mod context;
pub(crate) mod counters;
mod export;
pub(crate) mod scope;
pub(crate) mod span;
#[cfg(test)]
mod tests;
pub(crate) mod tracer;

pub use config::Telemetry;
