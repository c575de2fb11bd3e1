//! The operations. To add one is to add a line.

use crate::script::{Call, parse};

/// A name, the start states in which it is played, and its calls.
///
/// In a start state that does not have what the calls name (an adapter may hand
/// out no followers) it is passed over.
pub const ALL: &[(&str, &[&str], &str)] = &[
    (
        "publish-one",
        &[
            "nothing",
            "unsubscribed",
            "expired",
            "idle",
            "ready",
            "leased",
            "run-out",
            "paused",
            "two-services",
            "expired-owed",
        ],
        "publish t:n1",
    ),
    (
        "publish",
        &["nothing", "unsubscribed", "ready", "leased"],
        "publish t:n2 u:n3",
    ),
    (
        "publish-keyed",
        &[
            "nothing",
            "unsubscribed",
            "expired",
            "idle",
            "keyed",
            "leased-key",
            "followers",
            "last-attempt",
            "last-run-out",
            "run-out",
            "blocking",
            "dead-blocking",
            "dead",
            "retrying",
            "retry-proceeds",
            "ping-pong",
            "delayed",
        ],
        "publish t/K:n4 t/L:n5",
    ),
    (
        "publish-keyed-back",
        &["ping-pong", "nothing"],
        "publish u/K:n6 t/K:n7",
    ),
    (
        "publish-delayed",
        &[
            "nothing",
            "idle",
            "keyed",
            "retrying",
            "delayed",
            "unsubscribed",
        ],
        "publish t:n8@5000 t/K:n9@5000",
    ),
    (
        "subscribe",
        &["nothing", "unsubscribed", "expired"],
        "claim s.t 100",
    ),
    (
        "subscribe-other",
        &[
            "unsubscribed",
            "expired",
            "expired-owed",
            "leased-key",
            "ready",
        ],
        "claim b.t 1",
    ),
    (
        "claim-1",
        &[
            "ready",
            "keyed",
            "leased-key",
            "run-out",
            "last-run-out",
            "delayed",
            "retrying",
            "paused",
            "worker",
            "expired-owed",
            "dead",
        ],
        "claim s.t 1",
    ),
    (
        "claim-100",
        &[
            "ready",
            "keyed",
            "leased",
            "leased-key",
            "followers",
            "run-out",
            "delayed",
            "retrying",
            "dead",
            "ping-pong",
        ],
        "claim s.t 100",
    ),
    (
        "claim-once",
        &["last-run-out", "last-attempt"],
        "claim o.t 100",
    ),
    (
        "claim-blocking",
        &["blocking", "dead-blocking"],
        "claim b.t 100",
    ),
    (
        "consume",
        &[
            "idle",
            "ready",
            "keyed",
            "leased",
            "leased-key",
            "paused",
            "dead",
            "delayed",
            "run-out",
            "ping-pong",
            "expired-owed",
        ],
        "consume s.t 100",
    ),
    (
        "consume-1",
        &["keyed", "followers", "leased-key"],
        "consume s.t 1",
    ),
    (
        "settle",
        &[
            "leased",
            "run-out",
            "worker",
            "two-services",
            "expired-owed",
        ],
        "commit settle=s.t:e1",
    ),
    (
        "settle-two",
        &["leased", "expired-owed"],
        "commit settle=s.t:e2 settle=s.t:e1",
    ),
    (
        "settle-keyed",
        &[
            "leased-key",
            "followers",
            "run-out",
            "worker",
            "ping-pong",
            "two-services",
        ],
        "commit settle=s.t:k1",
    ),
    (
        "settle-followers",
        &["followers"],
        "commit settle=s.t:k1+k2+k3",
    ),
    ("settle-some", &["followers"], "commit settle=s.t:k1+k2"),
    (
        "settle-blocking",
        &["blocking", "two-services"],
        "commit settle=b.t:k1",
    ),
    (
        "settle-last",
        &["last-attempt", "last-run-out"],
        "commit settle=o.t:k1",
    ),
    (
        "settle-proceeding",
        &["retry-proceeds"],
        "commit settle=p.t:k1",
    ),
    ("ping", &["ping-pong"], "commit settle=s.t:k1 u/K:p1"),
    ("pong", &["ping-pong"], "commit settle=s.u:m1 t/K:p2"),
    (
        "settle-both",
        &["ping-pong"],
        "commit settle=s.u:m1 settle=s.t:k1",
    ),
    (
        "settle-and-republish",
        &["leased-key", "followers"],
        "commit settle=s.t:k1 t/K:p3",
    ),
    (
        "extend",
        &["leased", "run-out", "worker", "expired-owed"],
        "extend s.t:e1",
    ),
    (
        "extend-keyed",
        &["leased-key", "followers", "run-out", "ping-pong"],
        "extend s.t:k1",
    ),
    (
        "release",
        &["leased", "run-out", "worker", "two-services"],
        "release s.t:e1",
    ),
    (
        "release-keyed",
        &["leased-key", "followers", "run-out", "ping-pong"],
        "release s.t:k1",
    ),
    (
        "release-last",
        &["last-attempt", "last-run-out"],
        "release o.t:k1",
    ),
    ("release-blocking", &["blocking"], "release b.t:k1"),
    ("release-proceeding", &["retry-proceeds"], "release p.t:k1"),
    ("bury", &["leased", "run-out"], "bury s.t:e1"),
    (
        "bury-keyed",
        &["leased-key", "followers", "run-out", "two-services"],
        "bury s.t:k1",
    ),
    ("bury-blocking", &["blocking"], "bury b.t:k1"),
    ("bury-proceeding", &["retry-proceeds"], "bury p.t:k1"),
    (
        "sweep",
        &[
            "nothing",
            "unsubscribed",
            "expired",
            "expired-owed",
            "leased",
            "dead",
            "ready",
        ],
        "sweep",
    ),
    ("sweep-twice", &["expired", "expired-owed"], "sweep; sweep"),
    ("announce", &["worker"], "announce w"),
    ("announce-other", &["worker", "idle"], "announce v"),
    ("leave", &["worker"], "leave w"),
    (
        "due",
        &[
            "nothing", "ready", "worker", "run-out", "retrying", "delayed",
        ],
        "due",
    ),
    ("claim-as-worker", &["worker"], "claim s.t 100 worker=w"),
    (
        "forget",
        &[
            "ready",
            "keyed",
            "leased",
            "leased-key",
            "followers",
            "dead",
            "expired-owed",
            "ping-pong",
            "retrying",
        ],
        "forget s.t",
    ),
    (
        "forget-and-claim",
        &["ready", "leased-key", "dead"],
        "forget s.t; claim s.t 100",
    ),
    ("replay", &["dead"], "replay s.t:e1 s.t:k1"),
    ("replay-blocking", &["dead-blocking"], "replay b.t:k1"),
    ("discard", &["dead"], "discard s.t:k1 s.t:e1"),
    ("discard-blocking", &["dead-blocking"], "discard b.t:k1"),
    (
        "pause",
        &["ready", "paused", "leased", "keyed"],
        "pause s.t",
    ),
    ("resume", &["ready", "paused", "keyed"], "resume s.t"),
    (
        "unblock",
        &["blocking", "dead-blocking"],
        "claim b.t 100 proceed",
    ),
    (
        "block",
        &["leased-key", "dead", "keyed", "run-out"],
        "claim s.t 100 block",
    ),
    (
        "retries-proceed",
        &["leased-key", "retrying", "dead"],
        "claim s.t 100 retry=proceed",
    ),
    (
        "retries-block",
        &["retry-proceeds"],
        "claim p.t 100 retry=block",
    ),
];

/// Operations that are played three at a time.
pub const TRIPLES: &[(&str, [&str; 3])] = &[
    ("expired", ["sweep", "subscribe", "publish-keyed"]),
    ("expired", ["sweep", "subscribe", "subscribe-other"]),
    ("expired-owed", ["sweep", "consume", "subscribe-other"]),
    (
        "unsubscribed",
        ["subscribe", "subscribe-other", "publish-keyed"],
    ),
    ("ping-pong", ["ping", "pong", "publish-keyed-back"]),
    ("ping-pong", ["ping", "pong", "settle-both"]),
    ("leased-key", ["settle-keyed", "publish-keyed", "claim-100"]),
    (
        "leased-key",
        ["settle-keyed", "publish-keyed", "release-keyed"],
    ),
    ("followers", ["settle-keyed", "claim-100", "publish-keyed"]),
    ("followers", ["settle-followers", "consume-1", "bury-keyed"]),
    ("run-out", ["claim-1", "settle-keyed", "extend-keyed"]),
    ("run-out", ["claim-100", "release-keyed", "publish-keyed"]),
    ("blocking", ["bury-blocking", "unblock", "publish-keyed"]),
    (
        "dead-blocking",
        ["replay-blocking", "unblock", "publish-keyed"],
    ),
    (
        "dead-blocking",
        ["discard-blocking", "replay-blocking", "unblock"],
    ),
    ("dead", ["replay", "claim-100", "publish-keyed"]),
    ("dead", ["replay", "discard", "consume"]),
    (
        "last-attempt",
        ["release-last", "publish-keyed", "claim-once"],
    ),
    (
        "retry-proceeds",
        ["release-proceeding", "publish-keyed", "retries-block"],
    ),
    ("worker", ["announce", "due", "settle-keyed"]),
    ("worker", ["announce", "leave", "claim-as-worker"]),
    ("ready", ["consume", "publish-one", "publish"]),
    ("ready", ["consume", "publish-one", "pause"]),
    ("paused", ["resume", "consume", "publish-one"]),
    ("leased-key", ["forget", "settle-keyed", "publish-keyed"]),
    ("ready", ["forget-and-claim", "publish-one", "sweep"]),
    ("delayed", ["consume", "due", "publish-keyed"]),
];

/// An operation.
#[derive(Debug, Clone)]
pub struct Operation {
    pub name: &'static str,
    pub starts: &'static [&'static str],
    pub calls: Vec<Call>,
}

impl Operation {
    /// Whether it is played in a start state.
    pub fn belongs(&self, start: &str) -> bool {
        self.starts.contains(&start)
    }
}

pub fn all() -> Vec<Operation> {
    let operation =
        |&(name, starts, script): &(&'static str, &'static [&'static str], &str)| Operation {
            name,
            starts,
            calls: parse(script),
        };
    ALL.iter().map(operation).collect()
}
