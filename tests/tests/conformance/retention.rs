//! Retention: what is swept, and what is not.

use std::time::Duration;

use emporium_tests::{conformance, platform::*};
use journal::{CommitError, Put, Unit};
use maintenance::{Retention, Swept};

const DAY: Duration = Duration::from_secs(86_400);

async fn sweep(instance: &mut Instance) -> Swept {
    let day = ms(DAY);
    let retention = Retention {
        events_ms: day,
        blobs_ms: day,
        removals_ms: day,
        units_ms: day,
    };
    instance.sweep(retention).await.expect("a sweep")
}

const NOTHING: Swept = Swept {
    more: false,
    events: 0,
    deliveries: 0,
    blobs: 0,
    removals: 0,
    units: 0,
};

conformance! {
    async fn what_is_young_is_kept(platform) {
        let mut instance = platform.instance().await;
        instance.committed(publishes([event("topic", "e1")])).await;
        instance.put_blob(b"content".to_vec()).await.expect("stored");
        instance.committed(puts([put("things", "a", "1")])).await;
        instance.committed(Unit { id: Some("u1".into()), ..removes(removal("things", "a")) }).await;
        platform.advance(DAY - Duration::from_secs(60));
        assert_eq!(sweep(&mut instance).await, NOTHING);
        platform.advance(Duration::from_secs(120));
        assert_eq!(sweep(&mut instance).await, Swept { events: 1, blobs: 1, removals: 1, units: 1, ..NOTHING });
        assert_eq!(sweep(&mut instance).await, NOTHING);
    }

    async fn an_event_that_somebody_is_owed_is_kept(platform) {
        let mut instance = platform.instance().await;
        let (one, other) = (subscription("one", "topic"), subscription("other", "topic"));
        instance.committed(publishes([event("topic", "e1")])).await;
        let lease = instance.claim_one(&one).await.lease;
        instance.committed(settles(lease)).await;
        let lease = instance.claim_one(&other).await.lease;
        instance.bury(vec![burial(lease, "no")]).await;
        platform.advance(2 * DAY);
        assert_eq!(sweep(&mut instance).await, NOTHING);
        instance.discard(vec![lease.delivery]).await.expect("discarded");
        assert_eq!(sweep(&mut instance).await, Swept { events: 1, ..NOTHING });
        assert_eq!(instance.events(None, 10).await, Ok(vec![]));
    }

    async fn a_sequence_is_not_used_again(platform) {
        let mut instance = platform.instance().await;
        instance.committed(publishes([event("topic", "e1")])).await;
        let first = instance.events(None, 1).await.expect("events")[0].sequence;
        platform.advance(2 * DAY);
        sweep(&mut instance).await;
        instance.committed(publishes([event("topic", "e2")])).await;
        assert!(instance.events(None, 1).await.expect("events")[0].sequence > first);
    }

    async fn a_blob_lives_as_long_as_a_document_refers_to_it(platform) {
        let mut instance = platform.instance().await;
        let digest = instance.put_blob(b"content".to_vec()).await.expect("stored").digest;
        let refer = |key: &str| Put { blobs: vec![digest.clone()], ..put("things", key, "{}") };
        instance.committed(puts([refer("a"), refer("b")])).await;
        platform.advance(2 * DAY);
        assert_eq!(sweep(&mut instance).await, NOTHING);
        instance.committed(puts([put("things", "a", "no longer")])).await;
        platform.advance(2 * DAY);
        assert_eq!(sweep(&mut instance).await, NOTHING);
        instance.committed(removes(removal("things", "b"))).await;
        assert_eq!(sweep(&mut instance).await, NOTHING);
        platform.advance(2 * DAY);
        assert_eq!(sweep(&mut instance).await, Swept { blobs: 1, removals: 1, ..NOTHING });
        assert_eq!(instance.stat(digest.clone()).await, Ok(None));
        assert_eq!(instance.read(digest.clone(), 0, 10).await, Ok(None));
        let refused = instance.commit_one(puts([refer("c")])).await;
        assert_eq!(refused, Err(CommitError::NoSuchBlob(digest.clone())));
        instance.put_blob(b"content".to_vec()).await.expect("stored");
        instance.committed(puts([refer("c")])).await;
    }

    async fn storing_content_again_keeps_it_for_another_day(platform) {
        let mut instance = platform.instance().await;
        let digest = instance.put_blob(b"content".to_vec()).await.expect("stored").digest;
        platform.advance(2 * DAY);
        instance.put_blob(b"content".to_vec()).await.expect("stored");
        assert_eq!(sweep(&mut instance).await, NOTHING);
        platform.advance(2 * DAY);
        instance.upload(100, &[b"content"]).await.expect("stored");
        assert_eq!(sweep(&mut instance).await, NOTHING);
        assert!(instance.stat(digest).await.expect("read").is_some());
    }

    async fn an_upload_that_a_crash_left_behind_is_swept(platform) {
        let mut instance = platform.instance().await;
        let upload = instance.start_upload(1 << 30).await.expect("begun");
        instance.write_upload(upload, &vec![1; 1 << 20]).await.expect("written");
        drop(instance);
        let mut instance = platform.instance().await;
        assert_eq!(sweep(&mut instance).await, NOTHING);
        platform.advance(2 * DAY);
        assert_eq!(sweep(&mut instance).await, Swept { blobs: 1, ..NOTHING });
    }

    async fn an_upload_that_was_swept_cannot_be_finished(platform) {
        let mut instance = platform.instance().await;
        let upload = instance.start_upload(1 << 30).await.expect("begun");
        instance.write_upload(upload, &vec![1; 1 << 20]).await.expect("written");
        platform.advance(2 * DAY);
        assert_eq!(sweep(&mut instance).await, Swept { blobs: 1, ..NOTHING });
        let finished = instance.call(async |accessor, exports| {
            exports.emporium_platform_blobs().upload().call_finish(accessor, upload).await
        }).await;
        assert!(matches!(finished, Err(blobs::Error::Other(_))), "{finished:?}");
    }

    async fn a_big_sweep_takes_several_steps(platform) {
        let mut instance = platform.instance().await;
        for part in 0..3 {
            let ids = (0..1000).map(|number| format!("{part}-{number}"));
            instance.committed(publishes(ids.map(|id| event("topic", &id)))).await;
        }
        platform.advance(2 * DAY);
        let mut steps = 0;
        let mut events = 0;
        loop {
            let swept = sweep(&mut instance).await;
            steps += 1;
            events += swept.events;
            if !swept.more { break; }
        }
        assert_eq!(events, 3000);
        assert!(steps > 1);
    }

    async fn events_that_are_owed_are_passed_over_a_bounded_number_at_a_time(platform) {
        let mut instance = platform.instance().await;
        let owing = subscription("service", "owed");
        instance.claim(&owing, 1).await;
        for part in 0..3 {
            let ids = (0..1000).map(|number| format!("{part}-{number}"));
            instance.committed(publishes(ids.map(|id| event("owed", &id)))).await;
        }
        instance.committed(publishes([event("free", "last")])).await;
        platform.advance(2 * DAY);
        let mut steps = Vec::new();
        while steps.last().is_none_or(|swept: &Swept| swept.more) {
            steps.push(sweep(&mut instance).await);
        }
        assert!(steps.len() > 3, "{steps:?}");
        assert_eq!(steps.iter().map(|swept| swept.events).sum::<u64>(), 1);
        // What is owed no longer is found when the sweep begins anew.
        let batch = instance.claim(&owing, 5).await.deliveries;
        let units = batch.iter().map(|delivery| settles(delivery.lease)).collect();
        instance.commit(units).await;
        let mut events = 0;
        for _ in 0..steps.len() {
            events += sweep(&mut instance).await.events;
        }
        assert_eq!(events, 5);
    }
}
