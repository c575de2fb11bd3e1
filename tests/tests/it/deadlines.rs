//! Handlers that never come back.

use std::time::{Duration, Instant};

use emporium_tests::app::App;

use crate::trial::trial_manifest;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_is_ended_and_hangs_nobody() {
    let deadline = Duration::from_secs(5);
    let app = App::with(trial_manifest(), |limits| {
        limits.request_deadline = deadline
    })
    .await;
    let begun = Instant::now();
    let loops = (0..4).map(|_| app.get("/trial/loop"));
    let quick = async {
        let begun = Instant::now();
        for _ in 0..5 {
            assert_eq!(app.get("/health").await.status, 200);
        }
        begun.elapsed()
    };
    let (answers, quick) = futures::join!(futures::future::join_all(loops), quick);
    for answer in answers {
        assert_eq!(answer.status, 504, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    assert!(quick < Duration::from_secs(20), "{quick:?}");
}
