#![doc = include_str!("../README.md")]

mod bus;
mod database;
mod housekeeping;
mod keys;
pub mod properties;
mod steps;

pub use bus::Bus;

/// How failures are treated, as in `deliveries.policy`.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub max_attempts: u8,
    /// `during-retry` is `block`.
    pub retry_blocks: bool,
    /// `after-death` is `block`.
    pub death_blocks: bool,
}

/// When a consumer whose claim came back empty stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At once.
    AtOnce,
    /// Unless a publisher that does not wake is at work after the claim looked.
    IfNobodyPublishesAfterwards,
    /// Unless a publisher that does not wake was at work before the claim looked, or
    /// before it looked for the last time.
    IfNobodyPublishedBefore,
}

/// What a settlement compares with the lease it was made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Delivery and attempt.
    Attempt,
    /// The delivery alone: somebody leases it.
    Delivery,
    Nothing,
}

/// What the protocol relies on. A test leaves one out to see what breaks.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub stop: Stop,
    /// Nobody publishes while the subscription is made.
    pub subscribe_locks_topic: bool,
    /// A sweep keeps subscriptions from being made between its choice of events
    /// and their removal.
    pub sweep_locks_topic: bool,
    /// A publisher whose event has to wait for its key locks the key, so that
    /// nobody can free it before the event is seen to wait.
    pub waiting_locks_key: bool,
    pub fence: Fence,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            stop: Stop::IfNobodyPublishedBefore,
            subscribe_locks_topic: true,
            sweep_locks_topic: true,
            waiting_locks_key: true,
            fence: Fence::Attempt,
        }
    }
}

/// How often each thing that need not happen may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    pub crashes: u8,
    /// Leases that run out while their holder goes on.
    pub slow: u8,
    pub failures: u8,
    pub burials: u8,
    pub replays: u8,
    pub lost_wakes: u8,
    pub doubled_wakes: u8,
    pub sweeps: u8,
    pub forgets: u8,
}
