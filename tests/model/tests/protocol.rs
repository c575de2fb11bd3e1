//! What the protocol guarantees, and what breaks without each of its rules.

use std::time::Instant;

use emporium_model::{Bus, Fence, Limits, Policy, Rules, Stop, properties};
use stateright::{Checker, HasDiscoveries, Model as _};

const A: Option<char> = Some('a');
const B: Option<char> = Some('b');

const NONE: Limits = Limits {
    crashes: 0,
    slow: 0,
    failures: 0,
    burials: 0,
    replays: 0,
    lost_wakes: 0,
    doubled_wakes: 0,
    sweeps: 0,
    forgets: 0,
};

/// Without ticks: whatever has to be done is done because of a wake.
fn calm<const N: usize>(keys: [Option<char>; N], consumers: usize, limits: Limits) -> Bus {
    Bus {
        keys: keys.into(),
        consumers,
        policy: Policy {
            max_attempts: 2,
            retry_blocks: true,
            death_blocks: true,
        },
        rules: Rules::default(),
        limits,
        is_ordered: true,
        ticks: false,
    }
}

/// With ticks, which make up for what nobody is woken for.
fn ticking<const N: usize>(keys: [Option<char>; N], consumers: usize, limits: Limits) -> Bus {
    Bus {
        ticks: true,
        ..calm(keys, consumers, limits)
    }
}

/// Checks every state that can be reached.
fn holds(bus: Bus) {
    let (what, begun) = (bus.clone(), Instant::now());
    let checker = bus.checker().threads(2).spawn_bfs().join();
    println!(
        "{} states, {} steps deep, {:.1?}: {what:?}",
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed(),
    );
    checker.assert_properties();
}

/// Checks that a property does not hold, and says how it comes to that.
fn breaks(bus: Bus, property: &'static str) {
    let what = bus.clone();
    let checker = bus.checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let path = checker.assert_any_discovery(property);
    println!("not {property}: {what:?}");
    for action in path.into_actions() {
        println!("    {action:?}");
    }
}

/// Checks that everything holds, and that a property does not under these rules.
fn needs(bus: Bus, without: Rules, property: &'static str) {
    holds(bus.clone());
    let rules = without;
    breaks(Bus { rules, ..bus }, property);
}

#[test]
fn nothing_is_left_without_keys() {
    holds(calm([None; 5], 3, NONE));
}

#[test]
fn nothing_is_left_with_keys() {
    holds(calm([A, A, B, A, B], 3, NONE));
}

#[test]
fn nothing_is_left_behind_dead_letters() {
    let limits = Limits {
        burials: 2,
        replays: 1,
        doubled_wakes: 1,
        ..NONE
    };
    holds(calm([A, A, B], 2, limits));
}

#[test]
fn mishaps_are_made_up_for() {
    let limits = Limits {
        crashes: 1,
        slow: 1,
        failures: 1,
        lost_wakes: 1,
        ..NONE
    };
    holds(ticking([A, A, None], 2, limits));
}

#[test]
fn every_policy_lets_everything_end() {
    for (retry_blocks, death_blocks) in [(true, true), (true, false), (false, true), (false, false)]
    {
        let limits = Limits {
            slow: 1,
            failures: 1,
            burials: 1,
            replays: 1,
            ..NONE
        };
        let bus = ticking([A, A, A], 2, limits);
        let policy = Policy {
            retry_blocks,
            death_blocks,
            ..bus.policy
        };
        holds(Bus {
            policy,
            is_ordered: retry_blocks && death_blocks,
            ..bus
        });
    }
}

#[test]
fn subscriptions_come_and_go() {
    let limits = Limits {
        crashes: 1,
        sweeps: 2,
        forgets: 1,
        lost_wakes: 1,
        ..NONE
    };
    holds(ticking([A, A], 2, limits));
}

#[test]
fn a_publisher_that_does_not_wake_needs_consumers_that_look_again() {
    let bus = calm([None; 3], 2, NONE);
    for stop in [Stop::AtOnce, Stop::IfNobodyPublishesAfterwards] {
        let without = Rules {
            stop,
            ..Rules::default()
        };
        needs(bus.clone(), without, properties::NOTHING_LEFT);
    }
}

#[test]
fn a_sweep_needs_the_lock_of_the_topic() {
    let limits = Limits { sweeps: 1, ..NONE };
    let without = Rules {
        sweep_locks_topic: false,
        ..Rules::default()
    };
    let property = properties::NO_DELIVERY_WITHOUT_EVENT;
    needs(ticking([None; 2], 2, limits), without, property);
}

#[test]
fn a_promotion_needs_the_lock_of_the_key() {
    let without = Rules {
        waiting_locks_key: false,
        ..Rules::default()
    };
    needs(calm([A; 3], 2, NONE), without, properties::NOTHING_LEFT);
}

#[test]
fn a_subscription_needs_the_lock_of_the_topic() {
    let without = Rules {
        subscribe_locks_topic: false,
        ..Rules::default()
    };
    needs(
        calm([None; 2], 2, NONE),
        without,
        properties::NO_EVENT_FORGOTTEN,
    );
}

#[test]
fn a_settlement_needs_its_attempt() {
    let limits = Limits { slow: 1, ..NONE };
    for (fence, property) in [
        (Fence::Delivery, properties::ONE_AT_A_TIME),
        (Fence::Nothing, properties::SETTLED_ONCE),
    ] {
        let without = Rules {
            fence,
            ..Rules::default()
        };
        needs(ticking([A; 2], 2, limits), without, property);
    }
}

#[test]
fn order_needs_a_policy_that_blocks() {
    let limits = Limits {
        failures: 1,
        burials: 1,
        ..NONE
    };
    let bus = ticking([A; 2], 2, limits);
    for (retry_blocks, death_blocks) in [(false, true), (true, false)] {
        let policy = Policy {
            retry_blocks,
            death_blocks,
            ..bus.policy
        };
        let bus = Bus {
            policy,
            ..bus.clone()
        };
        breaks(bus, properties::IN_ORDER);
    }
}
