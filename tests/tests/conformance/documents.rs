//! Documents: versions, times, and the ways to read them one by one.

use std::time::Duration;

use emporium_tests::{conformance, platform::*};
use journal::{Expectation, Put};

conformance! {
    async fn an_absent_document_is_none(platform) {
        let mut instance = platform.instance().await;
        assert_eq!(instance.get("things", "a").await, Ok(None));
        assert_eq!(instance.get_many("things".into(), vec!["a".into()]).await, Ok(vec![None]));
    }

    async fn a_document_is_read_as_it_was_written(platform) {
        let mut instance = platform.instance().await;
        let before = platform.now_ms();
        instance.committed(puts([put("things", "Ü/1 ", "{\"a\":\"\u{1F600}\"}")])).await;
        let document = instance.get("things", "Ü/1 ").await.expect("read").expect("there");
        assert_eq!(document.key, "Ü/1 ");
        assert_eq!(document.version, 1);
        assert_eq!(document.value, "{\"a\":\"\u{1F600}\"}".as_bytes());
        assert!((before..=platform.now_ms()).contains(&document.created_at_ms));
        assert_eq!(document.created_at_ms, document.updated_at_ms);
    }

    async fn any_bytes_are_carried(platform) {
        let mut instance = platform.instance().await;
        let value: Vec<u8> = (0..=255).collect();
        let bytes = Put { value: value.clone(), ..put("things", "a", "") };
        instance.committed(puts([bytes, put("things", "empty", "")])).await;
        let found = instance.get_many("things".into(), vec!["a".into(), "empty".into()]).await;
        let values: Vec<_> = found.expect("read").into_iter().flatten().map(|it| it.value).collect();
        assert_eq!(values, [value, vec![]]);
    }

    async fn every_write_counts_the_version_up(platform) {
        let mut instance = platform.instance().await;
        for version in 1..=5 {
            assert_eq!(instance.committed(puts([put("things", "a", "{}")])).await, [version]);
        }
    }

    async fn a_write_changes_the_time_of_the_update_only(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([put("things", "a", "1")])).await;
        let first = instance.get("things", "a").await.expect("read").expect("there");
        platform.advance(Duration::from_secs(5));
        instance.committed(puts([put("things", "a", "2")])).await;
        let second = instance.get("things", "a").await.expect("read").expect("there");
        assert_eq!(second.created_at_ms, first.created_at_ms);
        assert!(second.updated_at_ms >= first.updated_at_ms + 5000);
    }

    async fn a_version_grows_across_a_removal(platform) {
        let mut instance = platform.instance().await;
        assert_eq!(instance.committed(puts([put("things", "a", "1")])).await, [1]);
        assert_eq!(instance.committed(removes(removal("things", "a"))).await, [2]);
        assert_eq!(instance.get("things", "a").await, Ok(None));
        assert_eq!(instance.committed(puts([put("things", "a", "2")])).await, [3]);
        assert_eq!(instance.committed(removes(removal("things", "a"))).await, [4]);
        let again = Put { expected: Expectation::Absent, ..put("things", "a", "3") };
        assert_eq!(instance.committed(puts([again])).await, [5]);
    }

    async fn removing_an_absent_document_succeeds(platform) {
        let mut instance = platform.instance().await;
        assert_eq!(instance.committed(removes(removal("things", "a"))).await, [0]);
        instance.committed(puts([put("things", "a", "1")])).await;
        for _ in 0..2 {
            assert_eq!(instance.committed(removes(removal("things", "a"))).await, [2]);
        }
    }

    async fn a_document_that_comes_back_is_new(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([put("things", "a", "1")])).await;
        platform.advance(Duration::from_secs(5));
        let recreated = platform.now_ms();
        instance.committed(removes(removal("things", "a"))).await;
        instance.committed(puts([put("things", "a", "2")])).await;
        let document = instance.get("things", "a").await.expect("read").expect("there");
        assert!(document.created_at_ms >= recreated);
    }

    async fn many_documents_stand_in_the_order_of_the_keys(platform) {
        let mut instance = platform.instance().await;
        let all = (0..500).map(|number| put("things", &format!("{number:03}"), &number.to_string()));
        instance.committed(puts(all)).await;
        let keys = (0..500).rev().map(|number| format!("{:03}", number * 2)).collect();
        let found = instance.get_many("things".into(), keys).await.expect("read");
        assert_eq!(found.len(), 500);
        for (place, document) in found.into_iter().enumerate() {
            let number = (499 - place) * 2;
            let expected = (number < 500).then(|| number.to_string().into_bytes());
            assert_eq!(document.map(|it| it.value), expected, "at {place}");
        }
    }

    async fn a_key_that_is_asked_for_twice_is_found_twice(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([put("things", "a", "1")])).await;
        let found = instance.get_many("things".into(), vec!["a".into(), "b".into(), "a".into()]).await;
        let there: Vec<_> = found.expect("read").iter().map(Option::is_some).collect();
        assert_eq!(there, [true, false, true]);
    }

    async fn collections_do_not_share_keys(platform) {
        let mut instance = platform.instance().await;
        instance.committed(puts([put("things", "a", "1"), put("others", "a", "2")])).await;
        instance.committed(removes(removal("others", "a"))).await;
        assert_eq!(instance.value("things", "a").await, "1");
    }
}
