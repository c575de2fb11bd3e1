//! Whether what a run left is right.

use std::collections::BTreeSet;

use crate::{
    crew::Entry,
    ledger::Ledger,
    program::settle_all,
    request::{Event, Policy, Request, Subscription},
    world::{Owed, Place, State, World},
};

/// A consumer that was told to look again so soon does not stop.
const SOON_MS: u64 = 100;

/// How often a claim may come back empty and ask for another at once.
const PATIENCE: u32 = 5;

/// What draining everything may take.
const ROUNDS: u32 = 200;

/// What contradicts the calls, or itself.
pub fn compare(before: &State, after: &State, log: &[Entry]) -> Vec<String> {
    let mut ledger = Ledger::of(before, after, log);
    let mut found = std::mem::take(&mut ledger.violations);
    let mut seen = BTreeSet::new();
    for owed in &after.owed {
        let Owed {
            subscription,
            event,
            ..
        } = owed;
        let Some(event) = event else {
            found.push(format!("{owed:?} has no event"));
            continue;
        };
        if !after.subscriptions.iter().any(|s| s.id == *subscription) {
            continue; // Of a subscription that was forgotten: `sweep` removes it.
        }
        if !seen.insert((*subscription, event.clone())) {
            found.push(format!("{event} is owed twice: {owed:?}"));
        }
        if ledger.has_ended(*subscription, event) {
            found.push(format!("{event} is owed after it was settled: {owed:?}"));
        }
    }
    for subscribed in &after.subscriptions {
        let was_there = before.subscriptions.iter().any(|s| s.id == subscribed.id);
        let of_topic = after
            .events
            .iter()
            .filter(|e| e.topic == subscribed.subscription.topic);
        for event in of_topic {
            let is_owed = seen.contains(&(subscribed.id, event.id.clone()));
            let is_new = !before.events.iter().any(|e| e.id == event.id);
            let was_owed = before.owed.iter().any(|owed| {
                owed.subscription == subscribed.id && owed.event.as_deref() == Some(&event.id)
            });
            let ought =
                (was_owed || is_new || !was_there) && !ledger.has_ended(subscribed.id, &event.id);
            if ought && !is_owed {
                found.push(format!(
                    "{} is owed to {:?} no longer",
                    event.id, subscribed.subscription
                ));
            }
            if is_owed && !ought && !ledger.has_ended(subscribed.id, &event.id) {
                found.push(format!(
                    "{} is owed to {:?} again",
                    event.id, subscribed.subscription
                ));
            }
        }
        let settled = ledger.settled.get(&subscribed.id).copied().unwrap_or(0);
        if settled != subscribed.settled {
            found.push(format!(
                "{:?} counts {} settled instead of {settled}",
                subscribed.subscription, subscribed.settled
            ));
        }
    }
    for id in &ledger.published {
        if !after.events.iter().any(|event| event.id == *id) {
            found.push(format!("{id} was published and is not there"));
        }
    }
    for event in &before.events {
        if !event.expired && !after.events.iter().any(|e| e.id == event.id) {
            found.push(format!("{} was swept before its time", event.id));
        }
    }
    found
}

/// The consumers that stopped looking and were told nothing since.
pub fn unwoken(log: &[Entry]) -> Vec<Subscription> {
    let mut found = Vec::new();
    for (place, entry) in log.iter().enumerate() {
        let Request::Claim { subscription, .. } = &entry.request else {
            continue;
        };
        let soon = entry
            .reply
            .next_due_in_ms
            .is_some_and(|wait| wait <= SOON_MS);
        let is_last = !log[place + 1..]
            .iter()
            .any(|later| later.session == entry.session);
        let looks_again = |later: &&Entry| match &later.request {
            Request::Claim {
                subscription: other,
                ..
            } => other == subscription && later.session != entry.session,
            Request::Release(_) | Request::Bury(_) => true,
            // What they free is left to the next tick.
            Request::Announce(_) | Request::Leave(_) | Request::WakeDue => true,
            Request::Commit { settles, .. } => {
                !settles.is_empty() && later.session != entry.session
            }
            _ => false,
        };
        let told = log
            .iter()
            .filter(|later| later.ended > entry.began)
            .any(|later| later.reply.woken.contains(&subscription.topic) || looks_again(&later));
        if entry.reply.deliveries.is_empty() && is_last && !soon && !told {
            found.push(subscription.clone());
        }
    }
    found
}

/// Those of them for which there is work.
pub fn missed(unwoken: &[Subscription], after: &State) -> Vec<String> {
    let has_work = |subscription: &&Subscription| {
        after.subscriptions.iter().any(|s| {
            s.subscription == **subscription
                && !s.paused
                && after
                    .owed
                    .iter()
                    .any(|owed| owed.subscription == s.id && owed.place == Place::Ready)
        })
    };
    let missed = unwoken.iter().filter(has_work);
    missed
        .map(|subscription| format!("{subscription:?} has work and was not woken"))
        .collect()
}

/// Hand out and settle everything there is with claims of this size, in a
/// transaction that is taken back, and say what was not handed out.
pub async fn drain<W: World>(world: &mut W, after: &State, limit: u32) -> Vec<String> {
    world.try_out().await;
    let found = match try_drain(world, after, limit).await {
        Ok(found) => found,
        Err(why) => vec![format!("claims of {limit}: {why}")],
    };
    world.take_back().await;
    found
}

async fn try_drain<W: World>(
    world: &mut W,
    after: &State,
    limit: u32,
) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut topics = BTreeSet::new();
    for subscribed in &after.subscriptions {
        topics.insert(subscribed.subscription.topic.clone());
        if subscribed.paused {
            call(world, &Request::Resume(subscribed.subscription.clone())).await?;
        }
    }
    for topic in &topics {
        let fresh = |key: Option<&str>| Event {
            topic: topic.clone(),
            key: key.map(str::to_owned),
            id: format!("fresh-{topic}-{}", key.unwrap_or("plain")),
            delay_ms: 0,
        };
        let events = vec![fresh(None), fresh(Some("K"))];
        call(
            world,
            &Request::Commit {
                settles: Vec::new(),
                events,
            },
        )
        .await?;
    }
    let mut handed_out = BTreeSet::new();
    let (mut idle, mut passed) = (0, false);
    for _ in 0..ROUNDS {
        let mut worked = false;
        let mut wait: Option<u64> = None;
        for subscribed in &after.subscriptions {
            let claim = Request::Claim {
                subscription: subscribed.subscription.clone(),
                policy: Policy {
                    attempts: subscribed.max_attempts,
                    blocks_after_death: subscribed.blocks_after_death,
                    blocks_during_retry: subscribed.blocks_during_retry,
                },
                worker: None,
                limit,
                after: 0,
            };
            let reply = call(world, &claim).await?;
            if reply.deliveries.is_empty() {
                wait = wait.into_iter().chain(reply.next_due_in_ms).min();
                continue;
            }
            worked = true;
            for delivery in &reply.deliveries {
                handed_out.insert((subscribed.id, delivery.event.clone()));
                let followers = delivery.followers.iter();
                handed_out.extend(followers.map(|(_, event)| (subscribed.id, event.clone())));
            }
            if call(world, &settle_all(&reply)).await?.lost {
                return Err("a fresh lease was lost".into());
            }
        }
        if worked {
            idle = 0;
            continue;
        }
        if !passed {
            passed = true;
            for subscribed in &after.subscriptions {
                let fresh = format!("fresh-{}-plain", subscribed.subscription.topic);
                if !handed_out.contains(&(subscribed.id, fresh)) {
                    found.push(format!(
                        "claims of {limit} do not hand out a fresh event of {:?}",
                        subscribed.subscription
                    ));
                }
            }
        }
        match wait {
            None => break,
            Some(0) if idle == PATIENCE => {
                found.push(format!(
                    "claims of {limit} bring nothing, and say that there is something"
                ));
                break;
            }
            Some(wait) => {
                idle += 1;
                if wait > 0 {
                    idle = 0;
                    world.pass(wait + 1).await;
                }
            }
        }
    }
    // What a forgotten subscription was owed goes by and by.
    for _ in 0..PATIENCE {
        call(world, &Request::Sweep).await?;
    }
    let left = world.state().await;
    for owed in &left.owed {
        let subscribed = left
            .subscriptions
            .iter()
            .find(|s| s.id == owed.subscription);
        let blocked = left.owed.iter().any(|other| {
            other.subscription == owed.subscription
                && other.key == owed.key
                && other.place == Place::Blocking
        });
        let fine = match owed.place {
            Place::Dead => true,
            Place::Blocking => subscribed.is_none_or(|s| s.blocks_after_death),
            Place::Waiting => blocked,
            _ => false,
        };
        if subscribed.is_none() {
            found.push(format!("nobody removes {owed:?}"));
        } else if !fine {
            found.push(format!("claims of {limit} never hand out {owed:?}"));
        }
    }
    Ok(found)
}

async fn call<W: World>(world: &mut W, request: &Request) -> Result<crate::request::Reply, String> {
    let reply = world.call(request).await;
    reply.map_err(|failure| format!("{request:?}: {failure:?}"))
}
