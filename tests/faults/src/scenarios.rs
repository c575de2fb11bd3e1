//! The scenarios, each a fault.

mod clock;
mod disk;
mod duplicates;
mod fleet;
mod forgery;
mod kill_points;
mod kill_storm;
mod poison;
mod postgres_outage;
mod postgres_pool;
mod redis_outage;
mod slow_consumer;
mod tcp;
mod versions;
mod wakes;

use crate::{scenario::Scenario, wiring::Wiring};

const EVERYWHERE: &[Wiring] = &[Wiring::Embedded, Wiring::Servers];
const EMBEDDED: &[Wiring] = &[Wiring::Embedded];
const SERVERS: &[Wiring] = &[Wiring::Servers];

/// Every scenario, in the order of the report.
pub const ALL: &[Scenario] = &[
    kill_points::BEFORE_EFFECT,
    kill_points::BEFORE_COMMIT,
    kill_points::AFTER_COMMIT,
    kill_points::BEFORE_WAKE,
    kill_storm::SCENARIO,
    redis_outage::TERMINATED,
    redis_outage::KILLED,
    redis_outage::FLUSHED,
    redis_outage::ABSENT,
    wakes::SCENARIO,
    forgery::SCENARIO,
    postgres_outage::RESTARTED,
    postgres_outage::KILLED,
    postgres_outage::STORM,
    postgres_pool::SCENARIO,
    disk::SCENARIO,
    duplicates::SCENARIO,
    slow_consumer::SCENARIO,
    poison::TRAP,
    poison::HOARD,
    poison::LOOP,
    poison::REJECT,
    clock::GUESTS,
    clock::DATABASE,
    versions::SCENARIO,
    tcp::LATENCY,
    tcp::RESET,
    tcp::HALF_OPEN,
    fleet::SPREAD,
    fleet::ROLLING,
    fleet::TAKEOVER,
];
