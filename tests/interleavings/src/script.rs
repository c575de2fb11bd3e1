//! What operations and start states are written in: calls separated by `;`.
//!
//! ```text
//! publish EVENT...                       claim SUBSCRIPTION LIMIT [proceed|block|once] [worker=W]
//! commit [settle=NAME...] [EVENT...]     consume SUBSCRIPTION LIMIT
//! extend|release|bury NAME...            replay|discard NAME...
//! pause|resume|forget SUBSCRIPTION       announce|leave WORKER
//! sweep                                  due
//! wait MILLISECONDS
//! ```
//!
//! A NAME is `service.topic:event`: the lease that the start state has of it, or
//! its dead letter. `settle=s.t:a+b` settles `a` with its follower `b`.

use crate::request::{Event, Policy, Subscription};

/// A delivery by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    pub subscription: Subscription,
    pub event: String,
}

/// A call, before it is known which leases its names stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Commit {
        settles: Vec<(Name, Vec<String>)>,
        events: Vec<Event>,
    },
    Claim {
        subscription: Subscription,
        policy: Policy,
        worker: Option<String>,
        limit: u32,
    },
    /// Claim and settle until nothing comes.
    Consume {
        subscription: Subscription,
        limit: u32,
    },
    Extend(Vec<Name>),
    Release(Vec<Name>),
    Bury(Vec<Name>),
    Replay(Vec<Name>),
    Discard(Vec<Name>),
    Pause(Subscription),
    Resume(Subscription),
    Forget(Subscription),
    Announce(String),
    Leave(String),
    WakeDue,
    Sweep,
    /// Let time pass.
    Wait(u64),
}

/// Reads the calls of a script, which has to be right.
pub fn parse(script: &str) -> Vec<Call> {
    let calls = script.split(';').map(str::trim);
    calls.filter(|call| !call.is_empty()).map(call).collect()
}

fn call(text: &str) -> Call {
    let mut words = text.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let words: Vec<&str> = words.collect();
    let names = || words.iter().map(|word| name(word)).collect();
    let first = || {
        *words
            .first()
            .unwrap_or_else(|| panic!("`{text}` needs more"))
    };
    match verb {
        "publish" | "commit" => {
            let (settles, events): (Vec<&str>, Vec<&str>) =
                words.iter().partition(|word| word.starts_with("settle="));
            Call::Commit {
                settles: settles.iter().map(|word| settlement(&word[7..])).collect(),
                events: events.iter().map(|word| event(word)).collect(),
            }
        }
        "claim" => claim(&words),
        "consume" => Call::Consume {
            subscription: subscription(first()),
            limit: number(words[1]),
        },
        "extend" => Call::Extend(names()),
        "release" => Call::Release(names()),
        "bury" => Call::Bury(names()),
        "replay" => Call::Replay(names()),
        "discard" => Call::Discard(names()),
        "pause" => Call::Pause(subscription(first())),
        "resume" => Call::Resume(subscription(first())),
        "forget" => Call::Forget(subscription(first())),
        "announce" => Call::Announce(first().to_owned()),
        "leave" => Call::Leave(first().to_owned()),
        "due" => Call::WakeDue,
        "sweep" => Call::Sweep,
        "wait" => Call::Wait(number(first())),
        _ => panic!("nobody knows `{text}`"),
    }
}

fn claim(words: &[&str]) -> Call {
    let subscription = subscription(words[0]);
    let mut policy = Policy::of(&subscription.service);
    let mut worker = None;
    for word in &words[2..] {
        match *word {
            "proceed" => policy.blocks_after_death = false,
            "block" => policy.blocks_after_death = true,
            "once" => policy.attempts = 1,
            "retry=proceed" => policy.blocks_during_retry = false,
            "retry=block" => policy.blocks_during_retry = true,
            word => worker = word.strip_prefix("worker=").map(str::to_owned),
        }
    }
    Call::Claim {
        subscription,
        policy,
        worker,
        limit: number(words[1]),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    let number = text.parse().ok();
    number.unwrap_or_else(|| panic!("`{text}` is no number"))
}

fn subscription(text: &str) -> Subscription {
    let (service, topic) = text.split_once('.').expect("service.topic");
    Subscription {
        service: service.to_owned(),
        topic: topic.to_owned(),
    }
}

fn name(text: &str) -> Name {
    let (of, event) = text.split_once(':').expect("service.topic:event");
    Name {
        subscription: subscription(of),
        event: event.to_owned(),
    }
}

fn settlement(text: &str) -> (Name, Vec<String>) {
    let mut parts = text.split('+');
    let head = name(parts.next().unwrap_or_default());
    (head, parts.map(str::to_owned).collect())
}

fn event(text: &str) -> Event {
    let (place, rest) = text.split_once(':').expect("topic:event");
    let (topic, key) = match place.split_once('/') {
        Some((topic, key)) => (topic, Some(key.to_owned())),
        None => (place, None),
    };
    let (id, delay) = rest.split_once('@').unwrap_or((rest, "0"));
    Event {
        topic: topic.to_owned(),
        key,
        id: id.to_owned(),
        delay_ms: number(delay),
    }
}
