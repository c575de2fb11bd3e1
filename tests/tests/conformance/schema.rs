//! The schema: brought up to date once, wherever, and never downgraded.

use emporium_tests::{conformance, platform::*};
use journal::CommitError;
use maintenance::Error;

conformance! {
    async fn a_schema_is_migrated_once_and_again(platform) {
        let mut instance = platform.instance().await;
        let first = instance.migrate().await.expect("a schema");
        assert_eq!(first.adapter, platform.adapter.short_name);
        assert!(first.version >= 1);
        assert_eq!(instance.migrate().await, Ok(first.clone()));
        assert_eq!(platform.elsewhere().await.instance.migrate().await, Ok(first));
    }

    async fn many_processes_may_start_at_once(platform) {
        let mut elsewhere = Vec::new();
        for _ in 0..6 {
            elsewhere.push(platform.elsewhere().await);
        }
        let starts = elsewhere.iter_mut().enumerate().map(|(number, elsewhere)| {
            let unit = puts([put("things", &number.to_string(), "{}")]);
            elsewhere.instance.commit_one(unit)
        });
        for outcome in futures::future::join_all(starts).await {
            assert!(outcome.is_ok(), "{outcome:?}");
        }
        let page = platform.instance().await.list(every("things")).await.expect("a page");
        assert_eq!(page.documents.len(), 6);
    }

    async fn a_newer_schema_is_refused_and_left_alone(platform) {
        let version = platform.instance().await.migrate().await.expect("a schema").version;
        let newer = version + 1;
        platform.database.set_schema_version(newer);
        let mut instance = platform.instance().await;
        for _ in 0..2 {
            assert_eq!(instance.migrate().await, Err(Error::NewerSchema(newer)));
        }
        assert_eq!(instance.subscriptions().await, Err(Error::NewerSchema(newer)));
        let read = instance.get("things", "a").await;
        assert!(matches!(&read, Err(documents::Error::Unavailable(text)) if text.contains("newer")), "{read:?}");
        let written = instance.commit_one(puts([put("things", "a", "{}")])).await;
        assert!(matches!(written, Err(CommitError::Unavailable(_))), "{written:?}");
        let letters = instance.list_dead(nothing_filtered(), 1, None).await;
        assert!(matches!(letters, Err(dead_letters::Error::Unavailable(_))), "{letters:?}");
        assert_eq!(platform.database.schema_version(), newer);
    }
}
