//! Commits: units are atomic, and independent of each other.

use emporium_tests::{conformance, platform::*};
use journal::{CommitError, Conflict, Expectation, Put, Removal, Unit, Write};

fn conflict(key: &str, found: Option<u64>) -> CommitError {
    CommitError::Conflict(Conflict {
        collection: "things".into(),
        key: key.into(),
        found,
    })
}

fn expecting(expected: Expectation) -> Unit {
    puts([Put {
        expected,
        ..put("things", "a", "new")
    }])
}

conformance! {
    async fn no_units_have_no_outcomes(platform) {
        let mut instance = platform.instance().await;
        assert_eq!(instance.commit(vec![]).await, []);
    }

    async fn an_empty_unit_is_committed(platform) {
        let mut instance = platform.instance().await;
        assert_eq!(instance.committed(puts([])).await, Vec::<u64>::new());
    }

    async fn a_receipt_has_the_versions_in_the_order_of_the_writes(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([put("things", "b", "1"), put("things", "c", "1")])).await;
        instance.committed(puts([put("things", "b", "2")])).await;
        let writes = vec![
            Write::Put(put("things", "b", "3")),
            Write::Put(put("things", "a", "1")),
            Write::Remove(removal("things", "c")),
        ];
        let unit = Unit { writes, ..puts([]) };
        assert_eq!(instance.committed(unit).await, [3, 1, 2]);
    }

    async fn absence_is_expected_of_what_is_there(platform) {
        let mut instance = platform.instance().await;
        instance.committed(expecting(Expectation::Absent)).await;
        let refused = instance.commit_one(expecting(Expectation::Absent)).await;
        assert_eq!(refused, Err(conflict("a", Some(1))));
        instance.committed(removes(removal("things", "a"))).await;
        instance.committed(expecting(Expectation::Absent)).await;
    }

    async fn another_version_is_expected(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([put("things", "a", "1")])).await;
        for version in [0, 2, u64::MAX] {
            let refused = instance.commit_one(expecting(Expectation::Version(version))).await;
            assert_eq!(refused, Err(conflict("a", Some(1))));
        }
        assert_eq!(instance.committed(expecting(Expectation::Version(1))).await, [2]);
    }

    async fn a_version_is_expected_of_what_is_absent(platform) {
        let mut instance = platform.instance().await;
        let refused = instance.commit_one(expecting(Expectation::Version(1))).await;
        assert_eq!(refused, Err(conflict("a", None)));
        instance.committed(puts([put("things", "a", "1")])).await;
        instance.committed(removes(removal("things", "a"))).await;
        let refused = instance.commit_one(expecting(Expectation::Version(2))).await;
        assert_eq!(refused, Err(conflict("a", None)));
    }

    async fn a_removal_may_expect_a_version(platform) {
        let mut instance = platform.instance().await;
        let expecting = |version| {
            let expected = Expectation::Version(version);
            removes(Removal { expected, ..removal("things", "a") })
        };
        assert_eq!(instance.commit_one(expecting(1)).await, Err(conflict("a", None)));
        instance.committed(puts([put("things", "a", "1")])).await;
        assert_eq!(instance.commit_one(expecting(2)).await, Err(conflict("a", Some(1))));
        assert_eq!(instance.committed(expecting(1)).await, [2]);
        let absent = removes(Removal { expected: Expectation::Absent, ..removal("things", "a") });
        instance.committed(absent.clone()).await;
        instance.committed(puts([put("things", "a", "1")])).await;
        assert_eq!(instance.commit_one(absent).await, Err(conflict("a", Some(3))));
    }

    async fn a_unit_that_fails_leaves_nothing_behind(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([put("things", "z", "old")])).await;
        let writes = vec![
            Write::Put(Put { entries: vec![entry("x", "1")], ..put("things", "a", "{}") }),
            Write::Remove(removal("things", "z")),
            Write::Put(Put { expected: Expectation::Version(7), ..put("things", "b", "{}") }),
        ];
        let unit = Unit { writes, ..publishes([event("topic", "e1")]) };
        assert_eq!(instance.commit_one(unit).await, Err(conflict("b", None)));
        assert_eq!(instance.get("things", "a").await, Ok(None));
        assert_eq!(instance.value("things", "z").await, "old");
        assert_eq!(instance.events(None, 10).await, Ok(vec![]));
    }

    async fn a_unit_that_fails_leaves_the_others_alone(platform) {
        let mut instance = platform.instance().await;
        let outcomes = instance.commit(vec![
            puts([put("things", "a", "1")]),
            puts([Put { expected: Expectation::Version(9), ..put("things", "b", "1") }]),
            puts([put("INVALID", "c", "1")]),
            puts([put("things", "d", "1")]),
        ]).await;
        let failed: Vec<_> = outcomes.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, true, true, false]);
        assert_eq!(outcomes[1], Err(conflict("b", None)));
        assert!(matches!(outcomes[2], Err(CommitError::InvalidUnit(_))));
        assert_eq!(instance.value("things", "d").await, "1");
    }

    async fn units_take_effect_in_the_order_given(platform) {
        let mut instance = platform.instance().await;
        let write = |expected, value| puts([Put { expected, ..put("things", "a", value) }]);
        let outcomes = instance.commit(vec![
            write(Expectation::Absent, "1"),
            write(Expectation::Version(1), "2"),
            write(Expectation::Version(1), "never"),
            write(Expectation::Version(2), "3"),
        ]).await;
        assert_eq!(outcomes[2], Err(conflict("a", Some(2))));
        assert_eq!(instance.value("things", "a").await, "3");
    }

    async fn a_document_is_written_once_in_a_unit(platform) {
        let mut instance = platform.instance().await;
        let twice = instance.commit_one(puts([put("things", "a", "1"), put("things", "a", "2")])).await;
        assert!(matches!(twice, Err(CommitError::InvalidUnit(_))), "{twice:?}");
    }

    async fn two_writers_with_one_version_do_not_both_win(platform) {
        let (mut one, mut other) = (platform.instance().await, platform.elsewhere().await.instance);
        one.committed(puts([put("things", "a", "1")])).await;
        let (first, second) = futures::join!(
            one.commit_one(expecting(Expectation::Version(1))),
            other.commit_one(expecting(Expectation::Version(1))),
        );
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    }

    async fn an_instance_commits_several_calls_at_once(platform) {
        let mut instance = platform.instance().await;
        instance.call(async |accessor, exports| {
            let journal = exports.emporium_platform_journal();
            let calls = (0..20).map(|number| {
                let unit = puts([put("things", &number.to_string(), "{}")]);
                journal.call_commit(accessor, vec![unit])
            });
            futures::future::try_join_all(calls).await
        }).await;
        let page = instance.list(every("things")).await.expect("a page");
        assert_eq!(page.documents.len(), 20);
    }
}
