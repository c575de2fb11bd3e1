//! The HTTP trigger: WASI 0.3 handlers in instances that are used again and, while
//! they wait, by several requests at once.

mod answer;
mod arrival;
mod drive;
mod headers;
mod instances;
mod problem;
mod router;
mod run;
mod server;
mod upload;
mod worker;

pub(crate) use router::Pattern;
pub(crate) use server::Server;
