//! The SQLite adapter in several hosts over one file, held before its statements.

mod keeper;
mod look;
mod order;
mod perform;
mod stage;

pub use stage::{Stage, play};
