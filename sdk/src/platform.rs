//! Every call of the library that leaves the instance, and its clock.
//!
//! Unit tests have another such module ([`fake`]): a platform in memory, whose
//! clock a test moves.

#[cfg(test)]
pub(crate) mod fake;

#[cfg(test)]
pub(crate) use fake::{
    Store, bury, claim, commit, extend, get, get_many, list, now, now_ms, random, release, sleep,
    spawn, variable, wake,
};
#[cfg(not(test))]
pub(crate) use real::{now, now_ms, random, sleep, spawn, variable};

#[cfg(not(test))]
pub(crate) use crate::{
    deliveries::{bury, claim, extend, release, wake},
    documents::{get, get_many, list},
    journal::commit,
};
#[cfg(not(test))]
pub(crate) use spin_sdk::key_value::Store;

#[cfg(not(test))]
mod real {
    use std::{
        sync::OnceLock,
        time::{Duration, Instant, SystemTime, UNIX_EPOCH},
    };

    pub(crate) use spin_sdk::{time::sleep, wit_bindgen::spawn};

    /// The value of a variable, if it has one.
    pub(crate) async fn variable(name: &str) -> Option<String> {
        spin_sdk::variables::get(name).await.ok()
    }

    /// The time since this was first asked.
    pub(crate) fn now() -> Duration {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        ORIGIN.get_or_init(Instant::now).elapsed()
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn now_ms() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    }

    /// A random number.
    pub(crate) fn random() -> u64 {
        // The low half of a UUIDv4 holds no version bits but two.
        (uuid::Uuid::new_v4().as_u128() as u64) << 2
    }
}
