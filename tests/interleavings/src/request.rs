//! One call of the contract, and what came back.

/// The right of a service to the events of a topic, written `service.topic`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subscription {
    pub service: String,
    pub topic: String,
}

/// An event to publish, written `topic/key:id@delay`, where `/key` and `@delay`
/// may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub topic: String,
    pub key: Option<String>,
    pub id: String,
    pub delay_ms: u64,
}

/// How failures are treated. The first letter of a service says which one it has,
/// until an operation changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub attempts: u32,
    pub blocks_after_death: bool,
    pub blocks_during_retry: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    pub delivery: u64,
    pub attempt: u32,
}

/// A delivery to settle, and which of its followers with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    pub lease: Lease,
    pub followers: Vec<u64>,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Commit {
        settles: Vec<Settlement>,
        events: Vec<Event>,
    },
    Claim {
        subscription: Subscription,
        policy: Policy,
        worker: Option<String>,
        limit: u32,
        /// Where the latest claim of this consumer ended.
        after: u64,
    },
    Extend(Vec<Lease>),
    Release(Vec<Lease>),
    Bury(Vec<Lease>),
    Replay(Vec<u64>),
    Discard(Vec<u64>),
    Pause(Subscription),
    Resume(Subscription),
    Forget(Subscription),
    Announce(String),
    Leave(String),
    WakeDue,
    Sweep,
}

/// An event that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub lease: Lease,
    pub event: String,
    /// Deliveries and events.
    pub followers: Vec<(u64, String)>,
}

/// What a call said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The work was not done: the lease was lost.
    pub lost: bool,
    pub deliveries: Vec<Delivery>,
    pub next_due_in_ms: Option<u64>,
    /// The topics whose services were told that there is work.
    pub woken: Vec<String>,
    /// How many leases, letters or events it concerned.
    pub count: u64,
}

impl Policy {
    /// What the first letter of a service stands for.
    pub fn of(service: &str) -> Self {
        let letter = service.chars().next();
        Self {
            attempts: if letter == Some('o') { 1 } else { 3 },
            blocks_after_death: letter == Some('b'),
            blocks_during_retry: letter != Some('p'),
        }
    }
}
