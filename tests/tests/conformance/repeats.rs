//! Units with an id: committed once, however often they arrive.

use std::time::Duration;

use emporium_tests::{conformance, platform::*};
use journal::{CommitError, Expectation, Put, Unit, Write};
use maintenance::Retention;

/// A unit that counts how often it happened.
fn named(id: &str) -> Unit {
    Unit {
        id: Some(id.into()),
        ..puts([put("things", "a", "1")])
    }
}

async fn version(instance: &mut Instance) -> u64 {
    let document = instance.get("things", "a").await.expect("read");
    document.map_or(0, |document| document.version)
}

conformance! {
    async fn a_unit_is_committed_once(platform) {
        let mut instance = platform.instance().await;
        instance.committed(named("u1")).await;
        assert_eq!(instance.commit_one(named("u1")).await, Err(CommitError::Repeated));
        let mut elsewhere = platform.elsewhere().await;
        assert_eq!(elsewhere.instance.commit_one(named("u1")).await, Err(CommitError::Repeated));
        assert_eq!(version(&mut instance).await, 1);
        instance.committed(named("u2")).await;
        assert_eq!(version(&mut instance).await, 2);
    }

    async fn a_repeated_unit_is_refused_whatever_it_holds(platform) {
        let mut instance = platform.instance().await;
        instance.committed(Unit { id: Some("u1".into()), ..nothing() }).await;
        let unit = Unit { id: Some("u1".into()), ..publishes([event("topic", "e1")]) };
        assert_eq!(instance.commit_one(unit).await, Err(CommitError::Repeated));
        assert_eq!(instance.events(None, 10).await, Ok(vec![]));
    }

    async fn of_two_in_one_commit_the_first_counts(platform) {
        let mut instance = platform.instance().await;
        let outcomes = instance.commit(vec![named("u1"), named("u2"), named("u1")]).await;
        assert!(outcomes[0].is_ok() && outcomes[1].is_ok(), "{outcomes:?}");
        assert_eq!(outcomes[2], Err(CommitError::Repeated));
        assert_eq!(version(&mut instance).await, 2);
    }

    async fn a_unit_that_failed_may_come_again(platform) {
        let mut instance = platform.instance().await;
        let absent = |key: &str| Put { expected: Expectation::Version(1), ..put("things", key, "1") };
        let conflicting = Unit { id: Some("u1".into()), ..puts([absent("b")]) };
        let refused = instance.commit_one(conflicting).await;
        assert!(matches!(refused, Err(CommitError::Conflict(_))), "{refused:?}");
        instance.committed(named("u1")).await;
    }

    async fn a_repeat_weighs_more_than_a_lost_lease_and_a_conflict(platform) {
        let mut instance = platform.instance().await;
        instance.committed(publishes([event("topic", "e1")])).await;
        let lease = instance.claim_one(&subscription("service", "topic")).await.lease;
        let unit = Unit {
            settles: settlement(lease),
            writes: vec![Write::Put(Put { expected: Expectation::Absent, ..put("things", "a", "1") })],
            ..named("u1")
        };
        instance.committed(unit.clone()).await;
        assert_eq!(instance.commit_one(unit.clone()).await, Err(CommitError::Repeated));
        assert_eq!(instance.commit_one(Unit { id: Some("u2".into()), ..unit }).await, Err(CommitError::LeaseLost));
    }

    async fn a_repeat_settles_nothing(platform) {
        let mut instance = platform.instance().await;
        instance.committed(named("u1")).await;
        instance.committed(publishes([event("topic", "e1")])).await;
        let lease = instance.claim_one(&subscription("service", "topic")).await.lease;
        let unit = Unit { settles: settlement(lease), ..named("u1") };
        assert_eq!(instance.commit_one(unit).await, Err(CommitError::Repeated));
        instance.committed(settles(lease)).await;
    }

    async fn units_without_an_id_are_never_repeated(platform) {
        let mut instance = platform.instance().await;
        for _ in 0..3 {
            instance.committed(puts([put("things", "a", "1")])).await;
        }
        assert_eq!(version(&mut instance).await, 3);
    }

    async fn two_processes_commit_a_unit_once(platform) {
        let (mut one, mut other) = (platform.instance().await, platform.elsewhere().await);
        for number in 0..20 {
            let unit = named(&number.to_string());
            let outcomes = futures::join!(one.commit_one(unit.clone()), other.instance.commit_one(unit));
            match outcomes {
                (Ok(_), Err(CommitError::Repeated)) | (Err(CommitError::Repeated), Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(version(&mut one).await, 20);
    }

    async fn ids_are_forgotten_when_retention_says_so(platform) {
        let mut instance = platform.instance().await;
        instance.committed(named("u1")).await;
        platform.advance(Duration::from_secs(60));
        instance.committed(named("u2")).await;
        let retention = Retention { units_ms: 30_000, ..NOTHING_KEPT };
        assert_eq!(instance.sweep(retention).await.expect("swept").units, 1);
        instance.committed(named("u1")).await;
        assert_eq!(instance.commit_one(named("u2")).await, Err(CommitError::Repeated));
    }

    async fn an_id_must_be_well_formed(platform) {
        let mut instance = platform.instance().await;
        for id in ["", "a\nb", &"x".repeat(257)] {
            let refused = instance.commit_one(named(id)).await;
            assert!(matches!(refused, Err(CommitError::InvalidUnit(_))), "{refused:?}");
        }
        instance.committed(named(&"ü ".repeat(85))).await;
    }
}
