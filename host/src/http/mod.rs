//! The HTTP trigger: WASI 0.3 handlers with reused instances.

mod answer;
mod arrival;
mod drive;
mod headers;
mod instances;
mod problem;
mod router;
mod server;
mod upload;
mod worker;

pub(crate) use router::Pattern;
pub(crate) use server::Server;
