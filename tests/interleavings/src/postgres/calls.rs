//! Requests as the adapter's statements, and what they bring back.
//!
//! Arguments are given by name: a function takes those that it has, so that the
//! same table serves several versions of the adapter.

use std::collections::BTreeMap;

use tokio_postgres::SimpleQueryRow;

use super::catalog::Catalog;
use crate::request::{Delivery, Event, Lease, Policy, Reply, Request, Settlement, Subscription};

/// As long as the conformance suite leases.
const LEASE_MS: u32 = 60_000;
/// As long as it keeps what is swept.
const RETENTION_MS: u32 = 3_600_000;
const WORKER_MS: u32 = 10_000;

type Arguments = Vec<(&'static str, Option<String>)>;

/// The statement for a request.
pub(super) fn statement(catalog: &Catalog, request: &Request) -> String {
    match request {
        Request::Commit { settles, events } => commit(catalog, settles, events),
        Request::Claim {
            subscription,
            policy,
            worker,
            limit,
            after,
        } => {
            let mut arguments = named(subscription);
            arguments.extend(terms(*policy));
            arguments.extend([
                ("p_worker", worker.clone()),
                ("p_limit", given(limit)),
                ("p_lease", given(LEASE_MS)),
                ("p_after", given(after)),
                ("p_claim", given(1)),
            ]);
            catalog.call("claim", &arguments)
        }
        Request::Extend(leases) => {
            let mut arguments = columns(leases);
            arguments.push(("p_lease", given(LEASE_MS)));
            catalog.call("extend", &arguments)
        }
        Request::Release(leases) => {
            let mut arguments = columns(leases);
            arguments.push(("p_wait", array(leases.iter().map(|_| "NULL"))));
            arguments.push(("p_reason", array(leases.iter().map(|_| "why"))));
            catalog.call("release", &arguments)
        }
        Request::Bury(leases) => {
            let mut arguments = columns(leases);
            arguments.push(("p_reason", array(leases.iter().map(|_| "why"))));
            catalog.call("bury", &arguments)
        }
        Request::Replay(ids) => {
            catalog.call("replay", &[("p_id", array(ids)), ("p_per_second", None)])
        }
        Request::Discard(ids) => catalog.call("discard", &[("p_id", array(ids))]),
        Request::Pause(subscription) => pause(catalog, subscription),
        Request::Resume(subscription) => catalog.call("resume", &named(subscription)),
        Request::Forget(subscription) => catalog.call("forget", &named(subscription)),
        Request::Announce(worker) => catalog.call(
            "announce",
            &[
                ("p_id", given(worker)),
                ("p_address", None),
                ("p_since", given(1)),
                ("p_in_flight", given(0)),
                ("p_counter_names", given("{}")),
                ("p_counter_values", given("{}")),
                ("p_for", given(WORKER_MS)),
            ],
        ),
        Request::Leave(worker) => leave(catalog, worker),
        Request::WakeDue => catalog.call("due_topics", &[]),
        Request::Sweep => catalog.call(
            "sweep",
            &[
                ("p_events", given(RETENTION_MS)),
                ("p_blobs", given(RETENTION_MS)),
                ("p_removals", given(RETENTION_MS)),
                ("p_units", given(RETENTION_MS)),
            ],
        ),
    }
}

fn commit(catalog: &Catalog, settles: &[Settlement], events: &[Event]) -> String {
    if let ([], [event]) = (settles, events)
        && event.key.is_none()
        && event.delay_ms == 0
    {
        return catalog.call(
            "publish_one",
            &[
                ("p_topic", given(&event.topic)),
                ("p_id", given(&event.id)),
                ("p_kind", given("kind")),
                ("p_envelope", given("\\x00")),
            ],
        );
    }
    let mut topics: Vec<&str> = Vec::new();
    let mut places = Vec::new();
    for event in events {
        let known = topics.iter().position(|topic| *topic == event.topic);
        places.push(
            1 + known.unwrap_or_else(|| {
                topics.push(&event.topic);
                topics.len() - 1
            }),
        );
    }
    let leases: Vec<_> = settles.iter().map(|settlement| settlement.lease).collect();
    let followers = settles
        .iter()
        .zip(1..)
        .flat_map(|(settlement, lease)| settlement.followers.iter().map(move |id| (lease, *id)));
    let followers: Vec<_> = followers.collect();
    let keys = events.iter().map(|event| match &event.key {
        Some(key) => key.as_str(),
        None => "NULL",
    });
    let arguments = [
        ("p_unit_id", given("{}")),
        ("p_lease_unit", array(leases.iter().map(|_| 1))),
        (
            "p_lease_id",
            array(leases.iter().map(|lease| lease.delivery)),
        ),
        (
            "p_lease_attempt",
            array(leases.iter().map(|lease| lease.attempt)),
        ),
        (
            "p_follower_lease",
            array(followers.iter().map(|(lease, _)| *lease as usize)),
        ),
        ("p_follower", array(followers.iter().map(|(_, id)| *id))),
        ("p_write_unit", given("{}")),
        ("p_write_puts", given("{}")),
        ("p_collection", given("{}")),
        ("p_key", given("{}")),
        ("p_expected", given("{}")),
        ("p_value_at", given("{}")),
        ("p_value_bytes", given("{}")),
        ("p_entry_write", given("{}")),
        ("p_entry", given("{}")),
        ("p_blob_write", given("{}")),
        ("p_blob", given("{}")),
        ("p_topic", array(&topics)),
        ("p_event_unit", array(events.iter().map(|_| 1))),
        ("p_event_topic", array(&places)),
        ("p_event_id", array(events.iter().map(|event| &event.id))),
        ("p_kind", array(events.iter().map(|_| "kind"))),
        ("p_subject", array(keys)),
        ("p_not_before", array(events.iter().map(not_before))),
        ("p_trace", array(events.iter().map(|_| "NULL"))),
        ("p_event_at", array(events.iter().map(|_| 1))),
        ("p_event_bytes", array(events.iter().map(|_| 1))),
        ("p_heap", given("\\x00")),
    ];
    catalog.call("commit", &arguments)
}

/// Times are counted from the one that start states begin at.
fn not_before(event: &Event) -> String {
    match event.delay_ms {
        0 => "NULL".to_owned(),
        delay => (super::stage::EPOCH_MS + delay).to_string(),
    }
}

/// The adapter of version 1 has a statement for it, held here before its end.
fn pause(catalog: &Catalog, subscription: &Subscription) -> String {
    if catalog.has("pause") {
        let mut arguments = named(subscription);
        arguments.push(("p_for", None));
        arguments.push(("p_reason", given("why")));
        return catalog.call("pause", &arguments);
    }
    let Subscription { service, topic } = subscription;
    let schema = catalog.schema();
    format!(
        "UPDATE {schema}.subscriptions
        SET paused_since_ms = emporium.now_ms(), paused_until_ms = NULL, pause_reason = 'why'
        WHERE service = '{service}'
            AND topic = (SELECT id FROM {schema}.topics WHERE name = '{topic}')
        RETURNING interleavings.step('pause')"
    )
}

fn leave(catalog: &Catalog, worker: &str) -> String {
    if catalog.has("leave_worker") {
        return catalog.call("leave_worker", &[("p_id", given(worker))]);
    }
    let schema = catalog.schema();
    format!(
        "SELECT 1 FROM {schema}.forget_workers(
            ARRAY(SELECT number FROM {schema}.workers WHERE id = '{worker}'), {until}emporium.now_ms())",
        until = if schema == "emporium_1" { "" } else { "NULL, " },
    )
}

fn named(subscription: &Subscription) -> Arguments {
    vec![
        ("p_service", given(&subscription.service)),
        ("p_topic", given(&subscription.topic)),
    ]
}

fn terms(policy: Policy) -> Arguments {
    vec![
        ("p_max_attempts", given(policy.attempts)),
        ("p_backoff_base", given(100)),
        ("p_backoff_cap", given(10_000)),
        ("p_blocks", given(i32::from(policy.blocks_after_death))),
        (
            "p_retry_blocks",
            given(i32::from(policy.blocks_during_retry)),
        ),
        ("p_pause_after", given(0)),
        ("p_pause", given(1000)),
    ]
}

fn columns(leases: &[Lease]) -> Arguments {
    vec![
        ("p_id", array(leases.iter().map(|lease| lease.delivery))),
        ("p_attempt", array(leases.iter().map(|lease| lease.attempt))),
    ]
}

fn given(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

fn array<T: ToString>(values: impl IntoIterator<Item = T>) -> Option<String> {
    let values: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
    Some(format!("{{{}}}", values.join(",")))
}

/// What came back.
pub(super) fn reply(request: &Request, rows: &[SimpleQueryRow]) -> Reply {
    let mut reply = Reply::default();
    let Some(row) = rows.first() else {
        return reply;
    };
    let columns: BTreeMap<&str, &str> = row
        .columns()
        .iter()
        .enumerate()
        .filter_map(|(at, column)| Some((column.name(), row.get(at)?)))
        .collect();
    let list = |name: &str| elements(columns.get(name).copied().unwrap_or("{}"));
    match request {
        Request::Commit { .. } if columns.contains_key("publish_one") => {
            if let (Request::Commit { events, .. }, Some(&"t")) =
                (request, columns.get("publish_one"))
            {
                reply.woken = events.iter().map(|event| event.topic.clone()).collect();
            }
        }
        Request::Commit { .. } => {
            reply.lost = !list("refused").is_empty();
            reply.woken = list("woken");
        }
        Request::Claim { .. } => {
            let (ids, attempts) = (list("delivery"), list("attempt"));
            let leases = ids.iter().zip(attempts);
            let deliveries = leases
                .zip(list("event_id"))
                .map(|((id, attempt), event)| Delivery {
                    lease: Lease {
                        delivery: number(id),
                        attempt: number(&attempt) as u32,
                    },
                    event,
                    followers: Vec::new(),
                });
            reply.deliveries = deliveries.collect();
            let followers = list("follower").into_iter().zip(list("follower_event_id"));
            for (place, (id, event)) in list("follower_of").iter().zip(followers) {
                let head = &mut reply.deliveries[number(place) as usize - 1];
                head.followers.push((number(&id), event));
            }
            reply.next_due_in_ms = columns.get("next_due_in").map(|wait| number(wait));
        }
        Request::Extend(_) | Request::Release(_) | Request::Bury(_) => {
            let held = ["held", "extend", "bury"].map(&list);
            reply.count = held.iter().map(Vec::len).max().unwrap_or(0) as u64;
            reply.lost = reply.count == 0;
        }
        Request::Replay(_) | Request::Discard(_) => {
            let count = columns.get("replayed").or(columns.get("discarded"));
            reply.count = count.map_or(0, |count| number(count));
            reply.woken = list("woken");
        }
        Request::WakeDue => {
            reply.woken = [list("due_topics"), list("topics"), list("woken")].concat()
        }
        Request::Resume(subscription) => {
            if columns.get("resume") == Some(&"t") {
                reply.woken.push(subscription.topic.clone());
            }
        }
        Request::Sweep => reply.count = columns.get("events").map_or(0, |count| number(count)),
        _ => {}
    }
    reply
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

/// The elements of an array as text, none of which has a comma or a quote.
fn elements(array: &str) -> Vec<String> {
    let inner = array.trim_start_matches('{').trim_end_matches('}');
    let elements = inner.split(',').filter(|element| !element.is_empty());
    elements
        .map(|element| element.trim_matches('"').to_owned())
        .collect()
}
