//! What each action does.

use crate::{
    Stop,
    bus::{Action, Bus, Consumer, State},
    database::{Lease, Status},
};

impl Bus {
    /// Returns nothing if it cannot happen now: a transaction waits for a lock, or
    /// there is nothing to do.
    pub(crate) fn apply(&self, state: &mut State, action: &Action) -> Option<()> {
        let (policy, rules) = (&self.policy, &self.rules);
        let State {
            database,
            consumers,
            wakes,
            limits,
        } = state;
        match *action {
            Action::Publish => database.publish(rules)?,
            Action::Commit(event) => *wakes += u8::from(database.commit(event)?),
            Action::DeliverWake => {
                // With every consumer busy it waits for its turn, as in a host.
                let idle = consumers.iter_mut().find(|c| **c == Consumer::Stopped)?;
                *wakes = wakes.checked_sub(1)?;
                *idle = Consumer::Looking { again: None };
            }
            Action::LoseWake => {
                *wakes = wakes.checked_sub(1)?;
                limits.lost_wakes -= 1;
            }
            Action::DoubleWake => {
                *wakes = (*wakes > 0).then_some(*wakes + 1)?;
                limits.doubled_wakes -= 1;
            }
            Action::Tick => *wakes = (*wakes == 0 && database.has_work()).then_some(1)?,
            Action::LookForPublishers(at) => {
                let again = database.is_silently_published();
                let consumer = consumers.get_mut(at)?;
                *consumer = match consumer {
                    Consumer::Looking { .. } => Consumer::Looking { again: Some(again) },
                    _ if again => Consumer::Looking { again: None },
                    _ => Consumer::Stopped,
                };
            }
            Action::Claim(at) => {
                let consumer = consumers.get_mut(at)?;
                *consumer = if database.subscription.is_none() {
                    let seen = database.begin_to_subscribe(rules)?;
                    Consumer::Subscribing { seen }
                } else if let Some((lease, followers)) = database.claim(policy, rules)? {
                    Consumer::Handling {
                        lease,
                        followers,
                        ran_out: false,
                    }
                } else {
                    match (rules.stop, &*consumer) {
                        (Stop::IfNobodyPublishesAfterwards, _) => Consumer::Empty,
                        (_, Consumer::Looking { again: Some(true) }) => {
                            Consumer::Looking { again: None }
                        }
                        _ => Consumer::Stopped,
                    }
                };
            }
            Action::Subscribe(at) => {
                let consumer = consumers.get_mut(at)?;
                if let Consumer::Subscribing { seen } = consumer {
                    database.subscribe(seen);
                }
                *consumer = Consumer::Looking { again: None };
            }
            Action::Settle(at, count) => {
                let consumer = consumers.get_mut(at)?;
                if let Consumer::Handling {
                    lease, followers, ..
                } = consumer
                {
                    database.settle(*lease, followers.get(..count)?, rules)?;
                }
                *consumer = Consumer::Looking { again: None };
            }
            Action::Fail(at) | Action::Bury(at) => {
                let consumer = consumers.get_mut(at)?;
                let Consumer::Handling { lease, .. } = *consumer else {
                    return None;
                };
                if matches!(action, Action::Fail(_)) {
                    database.fail(lease, policy, rules)?;
                    limits.failures -= 1;
                } else {
                    database.bury(lease, policy, rules)?;
                    limits.burials -= 1;
                }
                *consumer = Consumer::Looking { again: None };
            }
            Action::Crash(at) => {
                let consumer = consumers.get_mut(at)?;
                database.is_subscribing &= !matches!(consumer, Consumer::Subscribing { .. });
                *consumer = Consumer::Stopped;
                limits.crashes -= 1;
            }
            Action::RunOut(id) => {
                database.put(id, Status::Leased { ran_out: true });
                let attempt = database.deliveries.get(&id)?.attempt;
                let is_it = |lease: &Lease| lease.id == id && lease.attempt == attempt;
                for consumer in consumers {
                    if let Consumer::Handling { lease, ran_out, .. } = consumer
                        && is_it(lease)
                    {
                        *ran_out = true;
                        limits.slow -= 1;
                    }
                }
            }
            Action::FallDue(id) => {
                if let Status::Delayed { holds, .. } = database.deliveries.get(&id)?.status {
                    database.put(
                        id,
                        Status::Delayed {
                            is_due: true,
                            holds,
                        },
                    );
                }
            }
            Action::Replay(id) => {
                database.replay(id, rules)?;
                *wakes += 1;
                limits.replays -= 1;
            }
            Action::ChooseOld => {
                database.choose_old(rules)?;
                limits.sweeps -= 1;
            }
            Action::RemoveOld => database.remove_old()?,
            Action::Forget => {
                database.forget()?;
                limits.forgets -= 1;
            }
            Action::RemoveForgotten => database.remove_forgotten()?,
        }
        state.consumers.sort_unstable();
        Some(())
    }
}
