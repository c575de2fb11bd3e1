//! The start states. To add one is to add a line.

use crate::script::{Call, parse};

/// A name, and the calls that bring the state about.
///
/// What a claim leases has a name from then on (`s.t:a1`). The first letter of a
/// service says how its failures are treated (`Policy::of`): `s` proceeds after a
/// death, `b` blocks, `o` has one attempt, `p` also proceeds during a retry.
pub const ALL: &[(&str, &str)] = &[
    ("nothing", ""),
    ("unsubscribed", "publish t:e1 t/K:k1 t/K:k2"),
    ("expired", "publish t:e1 t/K:k1 t/K:k2; wait 7200000"),
    ("idle", "claim s.t 1"),
    ("ready", "claim s.t 1; publish t:e1"),
    ("keyed", "claim s.t 1; publish t/K:k1 t/K:k2"),
    (
        "leased",
        "claim s.t 1; publish t:e1 t:e2; claim s.t 2; publish t:e3",
    ),
    (
        "leased-key",
        "claim s.t 1; publish t/K:k1; claim s.t 1; publish t/K:k2 t/K:k3",
    ),
    (
        "followers",
        "claim s.t 1; publish t/K:k1 t/K:k2 t/K:k3; claim s.t 100; publish t/K:k4",
    ),
    (
        "run-out",
        "claim s.t 1; publish t:e1 t/K:k1 t/K:k2; claim s.t 2; wait 61000",
    ),
    (
        "last-attempt",
        "claim o.t 1; publish t/K:k1; claim o.t 1; publish t/K:k2",
    ),
    (
        "last-run-out",
        "claim o.t 1; publish t/K:k1 t/K:k2; claim o.t 1; wait 61000",
    ),
    (
        "blocking",
        "claim b.t 1; publish t/K:k1; claim b.t 1; publish t/K:k2",
    ),
    (
        "dead-blocking",
        "claim b.t 1; publish t/K:k1; claim b.t 1; publish t/K:k2; bury b.t:k1",
    ),
    (
        "dead",
        "claim s.t 1; publish t:e1 t/K:k1; claim s.t 2; publish t/K:k2; bury s.t:e1 s.t:k1",
    ),
    (
        "retrying",
        "claim s.t 1; publish t/K:k1; claim s.t 1; release s.t:k1; publish t/K:k2",
    ),
    (
        "retry-proceeds",
        "claim p.t 1; publish t/K:k1 t/K:k2; claim p.t 1",
    ),
    (
        "expired-owed",
        "claim s.t 1; publish t:e0 t:e1 t:e2; claim s.t 2; commit settle=s.t:e0; wait 7200000",
    ),
    (
        "ping-pong",
        "claim s.t 1; claim s.u 1; publish t/K:k1 u/K:m1; claim s.t 1; claim s.u 1; publish t/K:k2 u/K:m2",
    ),
    (
        "delayed",
        "claim s.t 1; publish t/K:k1@500; publish t/K:k2; wait 600",
    ),
    (
        "worker",
        "announce w; claim s.t 1; publish t:e1 t/K:k1 t/K:k2; claim s.t 2 worker=w; wait 11000",
    ),
    ("paused", "claim s.t 1; publish t:e1; pause s.t"),
    (
        "two-services",
        "claim s.t 1; claim b.t 1; publish t:e1 t/K:k1; claim s.t 2; claim b.t 2",
    ),
];

/// A start state.
#[derive(Debug, Clone)]
pub struct Start {
    pub name: &'static str,
    pub calls: Vec<Call>,
}

pub fn all() -> Vec<Start> {
    let start = |&(name, script): &(&'static str, &str)| Start {
        name,
        calls: parse(script),
    };
    ALL.iter().map(start).collect()
}
