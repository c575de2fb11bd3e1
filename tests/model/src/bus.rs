//! Publishers, consumers, wakes and mishaps, as a model that `stateright` checks.

use stateright::{Model, Property};

use crate::{
    Limits, Policy, Rules, Stop,
    database::{Database, Id, Lease, Stage, Status},
    properties,
};

/// One topic with one subscriber.
#[derive(Clone, Debug)]
pub struct Bus {
    /// The ordering key of each event.
    pub keys: Vec<Option<char>>,
    pub consumers: usize,
    pub policy: Policy,
    pub rules: Rules,
    pub limits: Limits,
    /// Whether each key is to be handled in the order of publication.
    pub is_ordered: bool,
    /// Whether somebody looks for work regularly (`maintenance.wake-due`).
    pub ticks: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub database: Database,
    /// Sorted: they are all alike.
    pub consumers: Vec<Consumer>,
    /// On their way.
    pub(crate) wakes: u8,
    pub(crate) limits: Limits,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Consumer {
    Stopped,
    /// About to claim. `again` is what it knows of publishers.
    Looking {
        again: Option<bool>,
    },
    /// Its claim came back empty.
    Empty,
    Subscribing {
        seen: Vec<u8>,
    },
    Handling {
        lease: Lease,
        followers: Vec<u8>,
        ran_out: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Publish,
    Commit(u8),
    DeliverWake,
    LoseWake,
    DoubleWake,
    Tick,
    LookForPublishers(usize),
    Claim(usize),
    Subscribe(usize),
    /// With so many followers.
    Settle(usize, usize),
    Fail(usize),
    Bury(usize),
    Crash(usize),
    RunOut(Id),
    FallDue(Id),
    Replay(Id),
    ChooseOld,
    RemoveOld,
    Forget,
    RemoveForgotten,
}

impl Bus {
    /// What happens if nothing else does.
    fn progress(&self, state: &State) -> Vec<Action> {
        let mut actions = vec![
            Action::DeliverWake,
            Action::RemoveOld,
            Action::RemoveForgotten,
        ];
        if self.ticks {
            actions.push(Action::Tick);
        }
        for (at, event) in state.database.events.iter().enumerate() {
            if matches!(event.stage, Stage::InFlight { .. }) {
                actions.push(Action::Commit(at as u8));
            }
        }
        for (at, consumer) in state.consumers.iter().enumerate() {
            match consumer {
                Consumer::Stopped => {}
                Consumer::Looking { again: None }
                    if self.rules.stop == Stop::IfNobodyPublishedBefore =>
                {
                    actions.push(Action::LookForPublishers(at));
                }
                Consumer::Looking { .. } => actions.push(Action::Claim(at)),
                Consumer::Empty => actions.push(Action::LookForPublishers(at)),
                Consumer::Subscribing { .. } => actions.push(Action::Subscribe(at)),
                Consumer::Handling { followers, .. } => {
                    actions.extend((0..=followers.len()).map(|count| Action::Settle(at, count)));
                }
            }
        }
        for (id, delivery) in state.database.current() {
            match delivery.status {
                Status::Delayed { is_due: false, .. } => actions.push(Action::FallDue(id)),
                Status::Leased { ran_out: false }
                    if state.holder(id, delivery.attempt).is_none() =>
                {
                    actions.push(Action::RunOut(id));
                }
                _ => {}
            }
        }
        actions
    }

    /// What may happen.
    fn incidents(&self, state: &State) -> Vec<Action> {
        let left = state.limits;
        let mut actions = vec![Action::Publish];
        let mut add = |left: u8, action| {
            if left > 0 {
                actions.push(action)
            }
        };
        add(left.lost_wakes, Action::LoseWake);
        add(left.doubled_wakes, Action::DoubleWake);
        add(left.sweeps, Action::ChooseOld);
        add(left.forgets, Action::Forget);
        for (at, consumer) in state.consumers.iter().enumerate() {
            if *consumer != Consumer::Stopped {
                add(left.crashes, Action::Crash(at));
            }
            if matches!(consumer, Consumer::Handling { .. }) {
                add(left.failures, Action::Fail(at));
                add(left.burials, Action::Bury(at));
            }
        }
        for (id, delivery) in state.database.current() {
            match delivery.status {
                Status::Leased { ran_out: false }
                    if state.holder(id, delivery.attempt).is_some() =>
                {
                    add(left.slow, Action::RunOut(id));
                }
                Status::Dead { .. } => add(left.replays, Action::Replay(id)),
                _ => {}
            }
        }
        actions
    }

    /// Whether nothing more happens by itself.
    pub(crate) fn is_at_rest(&self, state: &State) -> bool {
        let mut progress = self.progress(state).into_iter();
        progress.all(|action| self.next_state(state, action).is_none())
    }
}

impl Model for Bus {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            database: Database::of(&self.keys),
            consumers: vec![Consumer::Stopped; self.consumers],
            wakes: 0,
            limits: self.limits,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(self.progress(state));
        actions.extend(self.incidents(state));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.apply(&mut state, &action)?;
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl State {
    /// Who handles a delivery for the time of that attempt.
    fn holder(&self, id: Id, attempt: u8) -> Option<&Consumer> {
        let lease = Lease { id, attempt };
        let is_holder = |consumer: &&Consumer| matches!(consumer, Consumer::Handling { lease: held, .. } if *held == lease);
        self.consumers.iter().find(is_holder)
    }
}
