//! Replies that are large.

use super::Probe;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_reply_is_streamed() {
    let probe = Probe::start().await;
    let sql = "SELECT n, repeat('x', 1000) FROM generate_series(1, 5000) n";
    let counted = format!("query {sql}");
    let said = probe.run_one(&counted).await;
    assert_eq!(said.split(';').count(), 5000, "{said:.300}");
    // What nobody reads is given up, and the connection with it.
    let said = probe
        .run(&[&format!("first {sql}"), "query SELECT 1"])
        .await;
    assert!(said[0].starts_with("Int32(1)|"), "{}", said[0]);
    assert_eq!(said[1], "Int32(1)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_beyond_the_limit_is_refused() {
    let probe = Probe::start().await;
    let said = probe
        .run(&[
            "sync SELECT repeat('x', 1 << 20) FROM generate_series(1, 200)",
            "query SELECT 1",
        ])
        .await;
    assert!(said[0].contains("exceeds limit"), "{}", said[0]);
    assert_eq!(said[1], "Int32(1)");
}
