//! Servers of a test's own: Postgres and Redis in temporary folders on loopback
//! ports, gone when their owner is, even if that is killed.

mod guarded;
mod identity;
mod postgres;
mod redis;

pub use self::{
    identity::{Authority, Identity},
    postgres::Postgres,
    redis::Redis,
};
