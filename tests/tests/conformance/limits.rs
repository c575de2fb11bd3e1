//! Limits: what fits exactly is taken, what is one over is not.

use deliveries::Lease;
use emporium_tests::{conformance, platform::*};
use journal::{CommitError, Excess, Put, Settlement, Unit};

async fn assert_too_large(instance: &mut Instance, unit: Unit, limit: u64) {
    match instance.commit_one(unit).await {
        Err(CommitError::TooLarge(Excess {
            size, limit: found, ..
        })) => {
            assert_eq!((size, found), (limit + 1, limit));
        }
        other => panic!("{other:?}"),
    }
}

conformance! {
    async fn a_document_has_a_mebibyte(platform) {
        let mut instance = platform.instance().await;
        let sized = |size| puts([put("things", "a", &"x".repeat(size))]);
        instance.committed(sized(1 << 20)).await;
        assert_too_large(&mut instance, sized((1 << 20) + 1), 1 << 20).await;
        let document = instance.get("things", "a").await.expect("read").expect("there");
        assert_eq!((document.version, document.value.len()), (1, 1 << 20));
    }

    async fn a_document_has_64_entries(platform) {
        let mut instance = platform.instance().await;
        let with = |count: u32| {
            let entries = (0..count).map(|number| entry("x", &number.to_string())).collect();
            puts([Put { entries, ..put("things", "a", "") }])
        };
        instance.committed(with(64)).await;
        assert_too_large(&mut instance, with(65), 64).await;
    }

    async fn an_envelope_has_256_kibibytes(platform) {
        let mut instance = platform.instance().await;
        let sized = |size| {
            let mut event = event("topic", &format!("e{size}"));
            event.envelope = vec![0; size];
            publishes([event])
        };
        instance.committed(sized(256 << 10)).await;
        assert_too_large(&mut instance, sized((256 << 10) + 1), 256 << 10).await;
    }

    async fn a_unit_has_a_thousand_writes_and_events(platform) {
        let mut instance = platform.instance().await;
        let writes = |count: u32| puts((0..count).map(|number| put("things", &number.to_string(), "")));
        instance.committed(writes(1000)).await;
        assert_too_large(&mut instance, writes(1001), 1000).await;
        let events = |count: u32| {
            publishes((0..count).map(|number| event("topic", &number.to_string())))
        };
        instance.committed(events(1000)).await;
        assert_too_large(&mut instance, events(1001), 1000).await;
    }

    async fn a_unit_settles_a_thousand_deliveries(platform) {
        let mut instance = platform.instance().await;
        let lease = |delivery| Lease { delivery, attempt: 1 };
        let settling = |count: u64| {
            let followers = (3..=count).collect();
            let alone = Settlement { lease: lease(1), followers: vec![] };
            settles_all([alone, Settlement { lease: lease(2), followers }])
        };
        assert_eq!(instance.commit_one(settling(1000)).await, Err(CommitError::LeaseLost));
        assert_too_large(&mut instance, settling(1001), 1000).await;
        for twice in [
            settles_all([lease(1), lease(1)].map(|lease| Settlement { lease, followers: vec![] })),
            settles_all([Settlement { lease: lease(1), followers: vec![2, 2] }]),
            settles_all([Settlement { lease: lease(1), followers: vec![1] }]),
        ] {
            let refused = instance.commit_one(twice).await;
            assert!(matches!(refused, Err(CommitError::InvalidUnit(_))), "{refused:?}");
        }
    }

    async fn five_hundred_documents_are_read_at_once(platform) {
        let mut instance = platform.instance().await;
        let keys = |count: u32| (0..count).map(|number| number.to_string()).collect();
        let found = instance.get_many("things".into(), keys(500)).await;
        assert_eq!(found.map(|found| found.len()), Ok(500));
        let refused = instance.get_many("things".into(), keys(501)).await;
        assert!(matches!(refused, Err(documents::Error::InvalidQuery(_))), "{refused:?}");
    }
}
