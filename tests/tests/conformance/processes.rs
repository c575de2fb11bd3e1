//! Several processes on one database: hosts that share nothing but the files.

use emporium_tests::{conformance, platform::*};
use journal::{CommitError, Expectation, Put, Removal};

conformance! {
    async fn what_one_process_commits_another_reads(platform) {
        let (mut one, mut other) = (platform.instance().await, platform.elsewhere().await);
        for value in ["1", "2", "3"] {
            one.committed(puts([put("things", "a", value)])).await;
            assert_eq!(other.instance.value("things", "a").await, value);
        }
    }

    async fn a_counter_loses_no_count_between_processes(platform) {
        let (mut one, mut other) = (platform.instance().await, platform.elsewhere().await);
        futures::join!(count_up(&mut one, 50), count_up(&mut other.instance, 50));
        assert_eq!(one.value("things", "counter").await, "100");
    }

    async fn a_document_that_many_create_and_remove_is_always_somebodys(platform) {
        let (mut one, mut second) = (platform.instance().await, platform.instance().await);
        let (mut third, mut fourth) = (platform.elsewhere().await, platform.elsewhere().await);
        let (one, second, third, fourth) = futures::join!(
            take_and_release(&mut one, 100),
            take_and_release(&mut second, 100),
            take_and_release(&mut third.instance, 100),
            take_and_release(&mut fourth.instance, 100),
        );
        let mut versions = [one, second, third, fourth].concat();
        versions.sort_unstable();
        // Each creation and each removal has a version of its own.
        let expected: Vec<u64> = (0..400).map(|taken| taken * 2 + 1).collect();
        assert_eq!(versions, expected);
    }

    async fn a_crash_takes_back_nothing_that_was_committed(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([put("things", "a", "1")])).await;
        drop(instance);
        assert_eq!(platform.elsewhere().await.instance.value("things", "a").await, "1");
    }

    async fn a_call_that_is_cut_off_happens_wholly_or_not_at_all(platform) {
        let mut instance = platform.instance().await;
        instance.migrate().await.expect("a schema");
        for size in 0..20 {
            let mut instance = platform.instance().await;
            let unit = puts((0..50).map(|number| put("things", &format!("{size}-{number}"), "{}")));
            // The guest is dropped at whatever it was waiting for.
            let cut = tokio::time::Duration::from_micros(300 * size);
            let _ = tokio::time::timeout(cut, instance.commit_one(unit)).await;
        }
        for size in 0..20 {
            let selection = documents::Selection::KeyPrefix(format!("{size}-"));
            let found = instance.list(documents::Query { selection, ..every("things") }).await;
            let found = found.expect("a page").documents.len();
            assert!(found == 0 || found == 50, "{found} of 50");
        }
        instance.committed(puts([put("things", "after", "{}")])).await;
    }

    async fn a_database_that_takes_no_writes_is_unavailable(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([put("things", "a", "1")])).await;
        instance.committed(publishes([event("topic", "e1"), event("topic", "e2")])).await;
        let subscription = subscription("service", "topic");
        let lease = instance.claim(&subscription, 1).await.deliveries[0].lease;
        let outage = platform.database.fail();
        let (written, claimed, stored) = {
            let mut others = [platform.instance().await, platform.instance().await];
            let [claiming, storing] = &mut others;
            futures::join!(
                instance.commit(vec![puts([put("things", "a", "2")]), puts([put("INVALID", "a", "2")])]),
                claiming.claim_for(subscription.clone(), None, 1, LEASE_MS),
                storing.put_blob(b"other".to_vec()),
            )
        };
        assert!(matches!(written[0], Err(CommitError::Unavailable(_))), "{written:?}");
        assert!(matches!(written[1], Err(CommitError::InvalidUnit(_))), "{written:?}");
        assert!(matches!(claimed, Err(deliveries::Error::Unavailable(_))), "{claimed:?}");
        assert!(matches!(stored, Err(blobs::Error::Unavailable(_))), "{stored:?}");
        let mut others = [platform.instance().await, platform.instance().await, platform.instance().await];
        let [replaying, sweeping, announcing] = &mut others;
        let (released, replayed, swept, announced) = futures::join!(
            instance.release(vec![back(lease, "x")]),
            replaying.replay(vec![1], None),
            sweeping.sweep(NOTHING_KEPT),
            announcing.announce_for(worker("w"), 10_000),
        );
        assert!(matches!(released[..], [Err(deliveries::Error::Unavailable(_))]), "{released:?}");
        assert!(matches!(replayed, Err(dead_letters::Error::Unavailable(_))), "{replayed:?}");
        assert!(matches!(swept, Err(maintenance::Error::Unavailable(_))), "{swept:?}");
        assert!(matches!(announced, Err(workers::Error::Unavailable(_))), "{announced:?}");
        drop(outage);
        assert_eq!(instance.value("things", "a").await, "1");
        instance.committed(puts([put("things", "a", "2")])).await;
        instance.committed(settles(lease)).await;
    }

    async fn a_damaged_database_is_reported_by_every_interface(platform) {
        let mut instance = platform.instance().await;
        instance.migrate().await.expect("a schema");
        platform.database.damage();
        let read = instance.get("things", "a").await;
        assert!(matches!(read, Err(documents::Error::Other(_))), "{read:?}");
        let written = instance.commit(vec![puts([put("things", "a", "1")]), puts([])]).await;
        assert!(matches!(written[..], [Err(CommitError::Other(_)), Ok(_)]), "{written:?}");
        let claimed = instance.claim_for(subscription("service", "topic"), None, 1, LEASE_MS).await;
        assert!(matches!(claimed, Err(deliveries::Error::Other(_))), "{claimed:?}");
        let stat = instance.stat("0".repeat(64)).await;
        assert!(matches!(stat, Err(blobs::Error::Other(_))), "{stat:?}");
        let letters = instance.list_dead(nothing_filtered(), 1, None).await;
        assert!(matches!(letters, Err(dead_letters::Error::Other(_))), "{letters:?}");
        let report = instance.subscriptions().await;
        assert!(matches!(report, Err(maintenance::Error::Other(_))), "{report:?}");
    }
}

/// Adds one to a counter, again and again, with the version that was read.
async fn count_up(instance: &mut Instance, times: u32) {
    for _ in 0..times {
        loop {
            let found = instance.get("things", "counter").await.expect("read");
            let (count, expected) = match found {
                None => (0, Expectation::Absent),
                Some(document) => {
                    let count = String::from_utf8(document.value).expect("text");
                    (
                        count.parse().expect("a number"),
                        Expectation::Version(document.version),
                    )
                }
            };
            let next: u32 = count + 1;
            let counted = Put {
                expected,
                ..put("things", "counter", &next.to_string())
            };
            match instance.commit_one(puts([counted])).await {
                Ok(_) => break,
                Err(CommitError::Conflict(_)) => continue,
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

/// Creates a document when it is absent and removes it, again and again; returns
/// the versions that it was created as.
async fn take_and_release(instance: &mut Instance, times: u32) -> Vec<u64> {
    let mut versions = Vec::new();
    for _ in 0..times {
        let version = loop {
            let taken = Put {
                expected: Expectation::Absent,
                ..put("things", "lock", "{}")
            };
            match instance.commit_one(puts([taken])).await {
                Ok(receipt) => break receipt.versions[0],
                Err(CommitError::Conflict(_)) => continue,
                Err(error) => panic!("{error:?}"),
            }
        };
        let release = Removal {
            expected: Expectation::Version(version),
            ..removal("things", "lock")
        };
        instance.committed(removes(release)).await;
        versions.push(version);
    }
    versions
}
