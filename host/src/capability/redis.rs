//! `spin:redis`.
pub struct Connection;
