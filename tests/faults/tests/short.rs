//! Every scenario in its short form, as a test.

use emporium_faults::{scenario, scenarios, wiring::Wiring};

macro_rules! short {
    ($($wiring:ident in $module:ident { $($test:ident = $name:literal,)+ })+) => {
        $(mod $module {$(
            #[test]
            fn $test() -> anyhow::Result<()> {
                super::scenario::test($name, super::Wiring::$wiring)
            }
        )+})+

        /// What the tests above are of.
        const TESTED: &[(Wiring, &str)] = &[$($((Wiring::$wiring, $name),)+)+];
    };
}

short! {
    Embedded in embedded {
        a_storm_of_kills = "kill-storm",
        duplicates_out_of_order = "duplicates-reordered",
        a_consumer_slower_than_its_lease = "slow-consumer",
        an_event_that_traps = "poison-trap",
        an_event_that_hoards_memory = "poison-hoard",
        an_event_that_never_ends = "poison-loop",
        an_event_that_is_rejected = "poison-reject",
        the_clock_of_guests_jumps = "clock-of-guests",
    }
    Servers in servers {
        a_kill_before_the_effect = "kill-before-effect",
        a_kill_before_the_commit = "kill-before-commit",
        a_kill_after_the_commit = "kill-after-commit",
        a_kill_before_the_wake = "kill-before-wake",
        a_storm_of_kills = "kill-storm",
        redis_is_terminated = "redis-terminated",
        redis_is_killed = "redis-killed",
        redis_is_flushed = "redis-flushed",
        redis_is_absent = "redis-absent",
        no_wake_arrives = "wakes-dropped",
        wakes_are_forged = "forged-wakes",
        postgres_is_restarted = "postgres-restarted",
        postgres_is_killed = "postgres-killed",
        connections_are_terminated = "connections-terminated",
        the_pool_is_exhausted = "pool-exhausted",
        the_disk_is_full = "disk-full",
        duplicates_out_of_order = "duplicates-reordered",
        a_consumer_slower_than_its_lease = "slow-consumer",
        an_event_that_traps = "poison-trap",
        an_event_that_hoards_memory = "poison-hoard",
        an_event_that_never_ends = "poison-loop",
        an_event_that_is_rejected = "poison-reject",
        the_clock_of_the_database_jumps = "clock-of-database",
        two_versions_of_the_schema = "two-versions",
        the_network_is_slow = "tcp-latency",
        the_network_resets = "tcp-reset",
        the_network_swallows = "tcp-half-open",
        work_spreads = "work-spreads",
        hosts_are_replaced_in_turn = "rolling-restart",
        a_host_dies_with_long_leases = "dead-host",
    }
}

#[test]
fn every_scenario_is_tested_on_each_of_its_wirings() {
    let mut all: Vec<_> = scenarios::ALL
        .iter()
        .flat_map(|scenario| {
            scenario
                .wirings
                .iter()
                .map(|wiring| (*wiring, scenario.name))
        })
        .collect();
    let mut tested = TESTED.to_vec();
    all.sort_by_key(|(wiring, name)| (wiring.to_string(), *name));
    tested.sort_by_key(|(wiring, name)| (wiring.to_string(), *name));
    assert_eq!(all, tested);
}
