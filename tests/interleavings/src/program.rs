//! What a session does, request by request.

use std::collections::{HashMap, VecDeque};

use crate::{
    request::{Lease, Policy, Reply, Request, Settlement, Subscription},
    script::{Call, Name},
};

/// The leases and dead letters of a start state.
pub type Names = HashMap<Name, Lease>;

/// After so many rounds a consumer that still finds something is a mistake.
const ROUNDS: u32 = 30;

#[derive(Debug, Clone)]
pub struct Program {
    calls: VecDeque<Call>,
    names: Names,
    /// What comes before the next call.
    pending: VecDeque<Request>,
    /// Who consumes, and how many rounds are left.
    consuming: Option<(Subscription, u32, u32)>,
    /// Where the latest claim of each subscription ended.
    ended: HashMap<Subscription, u64>,
}

impl Program {
    /// Returns nothing if the start state has not all that the calls name.
    pub fn new(calls: &[Call], names: &Names) -> Option<Self> {
        let all_known = calls.iter().all(|call| match call {
            Call::Commit { settles, .. } => settles.iter().all(|(head, followers)| {
                let followers = followers.iter().map(|event| Name {
                    event: event.clone(),
                    ..head.clone()
                });
                std::iter::once(head.clone())
                    .chain(followers)
                    .all(|name| names.contains_key(&name))
            }),
            Call::Extend(wanted)
            | Call::Release(wanted)
            | Call::Bury(wanted)
            | Call::Replay(wanted)
            | Call::Discard(wanted) => wanted.iter().all(|name| names.contains_key(name)),
            _ => true,
        });
        all_known.then(|| Self {
            calls: calls.iter().cloned().collect(),
            names: names.clone(),
            pending: VecDeque::new(),
            consuming: None,
            ended: HashMap::new(),
        })
    }

    /// The next request, if there is one.
    #[expect(clippy::should_implement_trait, reason = "it is not iterated over")]
    pub fn next(&mut self) -> Option<Request> {
        if let Some(request) = self.pending.pop_front() {
            return Some(request);
        }
        if let Some((subscription, limit, rounds)) = &mut self.consuming {
            *rounds = rounds.checked_sub(1).expect("a consumer comes to an end");
            let (subscription, limit) = (subscription.clone(), *limit);
            return Some(self.claim(subscription, limit));
        }
        let call = self.calls.pop_front()?;
        Some(self.request(call))
    }

    /// What the request of [`Self::next`] brought.
    pub fn take(&mut self, request: &Request, reply: &Reply) {
        let Request::Claim { subscription, .. } = request else {
            return;
        };
        match reply.deliveries.last() {
            Some(last) => self.ended.insert(subscription.clone(), last.lease.delivery),
            None => self.ended.remove(subscription),
        };
        if self.consuming.is_none() {
            return;
        }
        if reply.deliveries.is_empty() {
            self.consuming = None;
        } else {
            self.pending.push_back(settle_all(reply));
        }
    }

    fn request(&mut self, call: Call) -> Request {
        let leases = |names: Vec<Name>| names.iter().map(|name| self.names[name]).collect();
        let ids = |names: Vec<Name>| {
            let ids = names.iter().map(|name| self.names[name].delivery);
            ids.collect()
        };
        match call {
            Call::Commit { settles, events } => Request::Commit {
                settles: settles
                    .iter()
                    .map(|(head, followers)| self.settlement(head, followers))
                    .collect(),
                events,
            },
            Call::Claim {
                subscription,
                policy,
                worker,
                limit,
            } => Request::Claim {
                after: self.ended.get(&subscription).copied().unwrap_or(0),
                subscription,
                policy,
                worker,
                limit,
            },
            Call::Consume {
                subscription,
                limit,
            } => {
                self.consuming = Some((subscription.clone(), limit, ROUNDS));
                self.claim(subscription, limit)
            }
            Call::Extend(names) => Request::Extend(leases(names)),
            Call::Release(names) => Request::Release(leases(names)),
            Call::Bury(names) => Request::Bury(leases(names)),
            Call::Replay(names) => Request::Replay(ids(names)),
            Call::Discard(names) => Request::Discard(ids(names)),
            Call::Pause(subscription) => Request::Pause(subscription),
            Call::Resume(subscription) => Request::Resume(subscription),
            Call::Forget(subscription) => Request::Forget(subscription),
            Call::Announce(worker) => Request::Announce(worker),
            Call::Leave(worker) => Request::Leave(worker),
            Call::WakeDue => Request::WakeDue,
            Call::Sweep => Request::Sweep,
            Call::Wait(_) => panic!("only start states wait"),
        }
    }

    fn claim(&self, subscription: Subscription, limit: u32) -> Request {
        Request::Claim {
            policy: Policy::of(&subscription.service),
            worker: None,
            limit,
            after: self.ended.get(&subscription).copied().unwrap_or(0),
            subscription,
        }
    }

    fn settlement(&self, head: &Name, followers: &[String]) -> Settlement {
        let followers = followers.iter().map(|event| {
            let name = Name {
                event: event.clone(),
                ..head.clone()
            };
            self.names[&name].delivery
        });
        Settlement {
            lease: self.names[head],
            followers: followers.collect(),
        }
    }
}

/// A unit that settles all that was claimed.
pub fn settle_all(reply: &Reply) -> Request {
    let settles = reply.deliveries.iter().map(|delivery| Settlement {
        lease: delivery.lease,
        followers: delivery.followers.iter().map(|(id, _)| *id).collect(),
    });
    Request::Commit {
        settles: settles.collect(),
        events: Vec::new(),
    }
}

/// What was leased has a name from now on.
pub fn note(names: &mut Names, request: &Request, reply: &Reply) {
    let Request::Claim { subscription, .. } = request else {
        return;
    };
    for delivery in &reply.deliveries {
        let mut note = |event: &str, lease| {
            let name = Name {
                subscription: subscription.clone(),
                event: event.to_owned(),
            };
            names.insert(name, lease);
        };
        note(&delivery.event, delivery.lease);
        for (follower, event) in &delivery.followers {
            let lease = Lease {
                delivery: *follower,
                attempt: 0,
            };
            note(event, lease);
        }
    }
}
