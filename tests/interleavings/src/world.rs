//! What the suite asks of a database: sessions that can be held, and a look at
//! what they left.

use crate::{
    program::Names,
    request::{Reply, Request, Subscription},
    script::Call,
    starts::Start,
};

/// What became of a session since it was let go.
#[derive(Debug)]
pub enum Happening {
    /// It went past a step, and on.
    Step { step: usize, label: String },
    /// It stands at a step, and waits to be let go.
    Held { step: usize, label: String },
    /// It waits for a lock that another session has.
    Blocked,
    /// Its call came back.
    Done(Result<Reply, Failure>),
}

/// Why a call has no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It lost to another one, as is foreseen: the adapter tries again.
    Again(String),
    /// What must not happen.
    Fatal(String),
}

/// Sessions on a database.
#[expect(async_fn_in_trait, reason = "nobody sends its futures anywhere")]
pub trait World {
    /// Whether the adapter has all of these calls.
    fn can(&self, calls: &[Call]) -> bool;

    /// Bring a start state about and keep it. Returns what has a name in it.
    async fn keep(&mut self, start: &Start) -> Names;

    /// Make the database as the start state was.
    async fn restore(&mut self, start: &str);

    /// Begin a call, which is to be held at these steps.
    async fn begin(&mut self, session: usize, request: &Request, stops: &[usize]);

    /// Wait until it is known what became of a session.
    async fn listen(&mut self, session: usize) -> Happening;

    /// Have a session that is blocked stop at its next step.
    async fn hold(&mut self, session: usize);

    /// Let a session go that is held.
    async fn release(&mut self, session: usize);

    /// End whatever is under way.
    async fn abort(&mut self);

    /// Something that is equal only for equal contents of the database.
    async fn digest(&mut self) -> String;

    /// What is in the database.
    async fn state(&mut self) -> State;

    /// What contradicts itself in the database.
    async fn contradictions(&mut self) -> Vec<String>;

    /// Do what is not to be seen afterwards: what follows is taken back by
    /// [`Self::take_back`].
    async fn try_out(&mut self);

    async fn take_back(&mut self);

    /// Do a call that nothing interrupts.
    async fn call(&mut self, request: &Request) -> Result<Reply, Failure>;

    /// Let time pass.
    async fn pass(&mut self, ms: u64);
}

/// What is in a database.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub subscriptions: Vec<Subscribed>,
    pub events: Vec<Kept>,
    pub owed: Vec<Owed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed {
    pub id: u64,
    pub subscription: Subscription,
    pub blocks_after_death: bool,
    pub blocks_during_retry: bool,
    pub max_attempts: u32,
    pub paused: bool,
    /// As it counted them.
    pub settled: u64,
}

/// An event that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub id: String,
    pub topic: String,
    /// Its time is over.
    pub expired: bool,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A claim would hand it out.
    Ready,
    Leased,
    Delayed,
    Waiting,
    Dead,
    Blocking,
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    pub subscription: u64,
    pub delivery: u64,
    /// Nothing if that event is not there.
    pub event: Option<String>,
    pub key: Option<String>,
    pub place: Place,
}
