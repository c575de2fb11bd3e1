//! Requests as calls of the contract, and what they bring back.

use emporium_tests::platform::{self as contract, Elsewhere, Instance, Wakes, deliveries, journal};

use crate::{
    request::{Delivery, Lease, Reply, Request, Subscription},
    world::Failure,
};

/// What ends the wakes of a call.
const END: &[u8] = b"the end";

/// The topics of all start states and operations.
pub(super) const TOPICS: [&str; 2] = ["t", "u"];

/// Do a call, and say what was woken.
pub(super) async fn perform(
    host: &mut Elsewhere,
    wakes: &mut [Wakes],
    now_ms: u64,
    request: &Request,
) -> Result<Reply, Failure> {
    let mut reply = call(&mut host.instance, now_ms, request).await?;
    reply.woken.clear();
    for (topic, wakes) in TOPICS.iter().zip(wakes) {
        host.publish(topic, END).await;
        while wakes.next().await.is_some_and(|wake| wake != END) {
            reply.woken.push((*topic).to_owned());
        }
    }
    Ok(reply)
}

async fn call(instance: &mut Instance, now_ms: u64, request: &Request) -> Result<Reply, Failure> {
    let mut reply = Reply::default();
    match request {
        Request::Commit { settles, events } => {
            let unit = journal::Unit {
                id: None,
                writes: Vec::new(),
                events: events
                    .iter()
                    .map(|event| journal::Event {
                        subject: event.key.clone(),
                        not_before_ms: (event.delay_ms > 0).then(|| now_ms + event.delay_ms),
                        ..contract::event(&event.topic, &event.id)
                    })
                    .collect(),
                settles: settles
                    .iter()
                    .map(|settlement| journal::Settlement {
                        lease: lease(&settlement.lease),
                        followers: settlement.followers.clone(),
                    })
                    .collect(),
            };
            match instance.commit_one(unit).await {
                Ok(_) => {}
                Err(journal::CommitError::LeaseLost) => reply.lost = true,
                Err(error) => return Err(Failure::Fatal(format!("{error:?}"))),
            }
        }
        Request::Claim {
            subscription,
            policy,
            worker,
            limit,
            ..
        } => {
            let subscription = deliveries::Subscription {
                policy: terms(*policy),
                ..contract::subscription(&subscription.service, &subscription.topic)
            };
            let claimed =
                instance.claim_for(subscription, worker.clone(), *limit, contract::LEASE_MS);
            let batch = claimed.await.map_err(fatal)?;
            reply.deliveries = batch.deliveries.into_iter().map(delivery).collect();
            reply.next_due_in_ms = batch.next_due_in_ms;
        }
        Request::Extend(leases) => {
            let leases = leases.iter().map(lease).collect();
            let held = instance.extend(leases, contract::LEASE_MS).await;
            count(&mut reply, held.into_iter().map(|held| held.is_ok()));
        }
        Request::Release(leases) => {
            let back = leases.iter().map(|one| contract::back(lease(one), "why"));
            let held = instance.release(back.collect()).await;
            count(&mut reply, held.into_iter().map(|held| held.is_ok()));
        }
        Request::Bury(leases) => {
            let burials = leases.iter().map(|one| contract::burial(lease(one), "why"));
            let held = instance.bury(burials.collect()).await;
            count(&mut reply, held.into_iter().map(|held| held.is_ok()));
        }
        Request::Replay(ids) => {
            let replayed = instance.replay(ids.clone(), None).await;
            reply.count = replayed.map_err(fatal)?.into();
        }
        Request::Discard(ids) => {
            reply.count = instance.discard(ids.clone()).await.map_err(fatal)?.into();
        }
        Request::Pause(Subscription { service, topic }) => {
            let paused = instance.pause_for(service.clone(), topic.clone(), None);
            paused.await.map_err(fatal)?;
        }
        Request::Resume(Subscription { service, topic }) => {
            let resumed = instance.resume_one(service.clone(), topic.clone());
            resumed.await.map_err(fatal)?;
        }
        Request::Forget(Subscription { service, topic }) => {
            let forgotten = instance.forget_one(service.clone(), topic.clone());
            forgotten.await.map_err(fatal)?;
        }
        Request::Announce(worker) => {
            let announced = instance.announce_for(contract::worker(worker), 10_000);
            announced.await.map_err(fatal)?;
        }
        Request::Leave(worker) => instance.leave_as(worker.clone()).await.map_err(fatal)?,
        Request::WakeDue => {
            instance.due().await.map_err(fatal)?;
        }
        Request::Sweep => {
            let kept = contract::maintenance::Retention {
                events_ms: 3_600_000,
                blobs_ms: 3_600_000,
                removals_ms: 3_600_000,
                units_ms: 3_600_000,
            };
            reply.count = instance.sweep(kept).await.map_err(fatal)?.events;
        }
    }
    Ok(reply)
}

fn count(reply: &mut Reply, held: impl Iterator<Item = bool>) {
    reply.count = held.filter(|held| *held).count() as u64;
    reply.lost = reply.count == 0;
}

fn fatal(error: impl std::fmt::Debug) -> Failure {
    Failure::Fatal(format!("{error:?}"))
}

fn lease(lease: &Lease) -> deliveries::Lease {
    deliveries::Lease {
        delivery: lease.delivery,
        attempt: lease.attempt,
    }
}

fn delivery(delivery: deliveries::Delivery) -> Delivery {
    let followers = delivery.followers.into_iter();
    Delivery {
        lease: Lease {
            delivery: delivery.lease.delivery,
            attempt: delivery.lease.attempt,
        },
        event: delivery.event_id,
        followers: followers
            .map(|follower| (follower.delivery, follower.event_id))
            .collect(),
    }
}

fn terms(policy: crate::request::Policy) -> deliveries::Policy {
    deliveries::Policy {
        max_attempts: policy.attempts,
        backoff_base_ms: 100,
        backoff_cap_ms: 10_000,
        during_retry: match policy.blocks_during_retry {
            true => deliveries::DuringRetry::Block,
            false => deliveries::DuringRetry::Proceed,
        },
        after_death: match policy.blocks_after_death {
            true => deliveries::AfterDeath::Block,
            false => deliveries::AfterDeath::Proceed,
        },
        pause_after: 0,
        pause_ms: 1000,
    }
}
