//! What the host says about its own work.

pub(crate) mod counters;
