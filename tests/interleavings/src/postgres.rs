//! The adapter's SQL on a PostgreSQL of its own, held at every statement.

mod calls;
mod catalog;
mod instrument;
mod keeper;
mod look;
mod play;
mod schema;
mod session;
mod stage;

pub use instrument::instrumented;
pub use play::play;
pub use stage::{Server, Stage};
