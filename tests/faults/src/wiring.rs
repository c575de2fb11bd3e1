//! What the platform is wired to.

use std::fmt;

/// Where the truth and the wakes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// A SQLite file and the Redis inside of the host: one process.
    Embedded,
    /// Postgres and Redis: as many hosts as one likes.
    Servers,
}

impl Wiring {
    /// The component that exports the platform.
    pub fn platform(self) -> &'static str {
        match self {
            Self::Embedded => "platform-sqlite",
            Self::Servers => "platform-postgres",
        }
    }
}

impl fmt::Display for Wiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Servers => "servers",
        })
    }
}
