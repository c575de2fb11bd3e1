//! What must hold in every state.

use stateright::Property;

use crate::{
    bus::{Bus, Consumer, State},
    database::{Delivery, Id, Status},
};

pub const ONE_AT_A_TIME: &str = "one handler at a time for each key";
pub const SETTLED_ONCE: &str = "nothing is settled twice";
pub const IN_ORDER: &str = "each key in the order of publication";
pub const NO_DELIVERY_WITHOUT_EVENT: &str = "no delivery without its event";
pub const NO_EVENT_FORGOTTEN: &str = "each stored event is owed or settled";
pub const NOTHING_LEFT: &str = "nothing is left when nothing more happens";
pub const DONE: &str = "everything gets settled";

pub(crate) fn all() -> Vec<Property<Bus>> {
    vec![
        Property::always(ONE_AT_A_TIME, one_at_a_time),
        Property::always(SETTLED_ONCE, settled_once),
        Property::always(IN_ORDER, in_order),
        Property::always(NO_DELIVERY_WITHOUT_EVENT, no_delivery_without_event),
        Property::always(NO_EVENT_FORGOTTEN, no_event_forgotten),
        Property::always(NOTHING_LEFT, nothing_left),
        // So that the others do not hold because nothing happens.
        Property::sometimes(DONE, done),
    ]
}

/// Whose lease has run out may still be at it: what it does is refused.
fn one_at_a_time(_: &Bus, state: &State) -> bool {
    let is_handling = |id: Id| {
        let is_it = |consumer: &&Consumer| match consumer {
            Consumer::Handling { lease, ran_out, .. } => lease.id == id && !ran_out,
            _ => false,
        };
        state.consumers.iter().filter(is_it).count()
    };
    let database = &state.database;
    let present = (0..database.events.len() as u8).flat_map(|event| {
        database
            .subscription
            .map(|subscription| (subscription, event))
    });
    let handled: Vec<_> = present
        .filter_map(|id| {
            let key = database.events.get(usize::from(id.1))?.key;
            Some((key, is_handling(id)))
        })
        .collect();
    handled.iter().all(|&(key, count)| {
        let same = handled
            .iter()
            .filter(|(other, _)| key.is_some() && *other == key);
        count <= 1 && same.map(|(_, count)| count).sum::<usize>() <= 1
    })
}

fn settled_once(_: &Bus, state: &State) -> bool {
    state.database.settled.values().all(|&times| times == 1)
}

fn in_order(bus: &Bus, state: &State) -> bool {
    let is_overtaken = |(id, delivery): (Id, Delivery)| {
        let after = (id.0, id.1 + 1)..=(id.0, u8::MAX);
        delivery.key.is_some()
            && state.database.settled.range(after).any(|(later, _)| {
                let later = state.database.events.get(usize::from(later.1));
                later.is_some_and(|later| later.key == delivery.key)
            })
    };
    !bus.is_ordered || !state.database.current().any(is_overtaken)
}

fn no_delivery_without_event(_: &Bus, state: &State) -> bool {
    let stored = state.database.stored();
    state
        .database
        .current()
        .all(|(id, _)| stored.contains(&id.1))
}

fn no_event_forgotten(_: &Bus, state: &State) -> bool {
    let database = &state.database;
    let is_known = |id| database.deliveries.contains_key(&id) || database.settled.contains_key(&id);
    let stored = database.stored();
    database
        .subscription
        .is_none_or(|subscription| stored.iter().all(|&event| is_known((subscription, event))))
}

/// At rest everything is settled, dead, or waits behind a dead letter that blocks;
/// nothing is left of a subscription that was forgotten.
fn nothing_left(bus: &Bus, state: &State) -> bool {
    let database = &state.database;
    let is_blocked = |delivery: Delivery| {
        let blocks = |(_, d): (Id, Delivery)| {
            d.key == delivery.key && d.status == Status::Dead { blocks: true }
        };
        delivery.status == Status::Waiting && database.current().any(blocks)
    };
    let is_finished = |(_, delivery): (Id, Delivery)| {
        matches!(delivery.status, Status::Dead { .. }) || is_blocked(delivery)
    };
    let is_subscribed = database.subscription.is_some() || database.stored().is_empty();
    (is_subscribed
        && database.current().all(is_finished)
        && database.current().count() == database.deliveries.len())
        || !bus.is_at_rest(state)
}

fn done(bus: &Bus, state: &State) -> bool {
    state.database.settled.len() >= bus.keys.len() && state.database.deliveries.is_empty()
}
