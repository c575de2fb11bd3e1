//! What is executed in place, and what aside.

use super::*;

#[tokio::test]
async fn a_long_read_leaves_the_thread_to_others() {
    let component = Application::new().open();
    let count = ENDLESS.replace(
        "SELECT i FROM n",
        "SELECT count(*) FROM (SELECT 1 FROM n LIMIT 1000000)",
    );
    let long = component.number(&count);
    let mut long = std::pin::pin!(long);
    assert!(
        futures::poll!(&mut long).is_pending(),
        "it was executed in place"
    );
    assert_eq!(long.await, 1_000_000);
}

#[tokio::test]
async fn a_change_that_took_long_is_made_aside_the_next_time() {
    let application = Application::new();
    let component = application.open_with_table().await;
    component.execute("BEGIN").await;
    let sql = format!("INSERT INTO t SELECT * FROM ({ENDLESS} LIMIT 200000)");
    for in_place in [true, false] {
        let change = component.execute(&sql);
        let mut change = std::pin::pin!(change);
        assert_eq!(futures::poll!(&mut change).is_ready(), in_place);
        if !in_place {
            change.await;
        }
    }
    assert_eq!(component.number("SELECT count(*) FROM t").await, 400_000);
}

#[tokio::test]
async fn a_small_reply_costs_no_thread() {
    let component = Application::new().open();
    let reply = stream::execute(&component.0, "SELECT 1".into(), vec![]);
    let reply = futures::FutureExt::now_or_never(reply)
        .expect("it waited")
        .expect("reply");
    assert!(reply.1.is_none());
}
