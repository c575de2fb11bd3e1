//! Replies that are large.

use super::*;
use crate::capability::REPLY_LIMIT;

#[tokio::test]
async fn a_reply_over_the_limit_is_refused() {
    let component = Application::new().open();
    let megabyte = format!("SELECT zeroblob(1 << 20) FROM ({ENDLESS} LIMIT 200)");
    let error = component.failure(&megabyte).await;
    assert_eq!(
        error,
        format!("query result exceeds limit of {REPLY_LIMIT} bytes")
    );
}

#[tokio::test]
async fn a_large_reply_is_streamed() {
    let component = Application::new().open();
    let sql = format!("SELECT zeroblob(1 << 20) FROM ({ENDLESS} LIMIT 200)");
    let (first, rest) = stream::execute(&component.0, sql, vec![])
        .await
        .expect("reply");
    let mut rest = rest.expect("more than fits at once");
    let mut rows = first.rows.len();
    assert!(rows < 10, "{rows} rows were gathered");
    while rest.rows.recv().await.is_some() {
        rows += 1;
    }
    assert_eq!(rows, 200);
    assert!(matches!(rest.outcome.await, Ok(Ok(()))));
    assert_eq!(component.number("SELECT 1").await, 1);
}

#[tokio::test]
async fn a_stream_the_component_leaves_ends() {
    let component = Application::new().open();
    let (_, rest) = stream::execute(&component.0, ENDLESS.into(), vec![])
        .await
        .expect("reply");
    drop(rest);
    assert_eq!(component.number("SELECT 1").await, 1);
}
