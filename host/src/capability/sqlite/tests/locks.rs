//! Components that want the same database at once.

use std::time::{Duration, Instant};

use super::*;

#[tokio::test]
async fn a_locked_database_is_given_up_after_the_busy_timeout() {
    let application = Application::new();
    let (holder, component) = (application.open_with_table().await, application.open());
    holder.execute("BEGIN IMMEDIATE").await;
    for timeout in [0, 20] {
        component
            .execute(&format!("PRAGMA busy_timeout = {timeout}"))
            .await;
        let started = Instant::now();
        assert_eq!(
            component.failure("BEGIN IMMEDIATE").await,
            "database is locked"
        );
        assert!(started.elapsed() >= Duration::from_millis(timeout));
    }
}

#[tokio::test]
async fn waiting_for_a_lock_leaves_the_thread_to_others() {
    let application = Application::new();
    let (holder, component) = (application.open_with_table().await, application.open());
    holder.execute("BEGIN IMMEDIATE").await;
    // Both run on one thread: the holder can commit only if the other yields.
    let (taken, _) = tokio::join!(component.execute("BEGIN IMMEDIATE"), async {
        tokio::task::yield_now().await;
        holder.execute("COMMIT").await
    });
    assert!(taken.rows.is_empty());
}

#[tokio::test]
async fn a_transaction_that_read_what_has_changed_is_not_kept_waiting() {
    let application = Application::new();
    let (reader, writer) = (application.open_with_table().await, application.open());
    reader.execute("PRAGMA busy_timeout = 60000").await;
    reader.execute("BEGIN").await;
    reader.execute("SELECT * FROM t").await;
    writer.execute("INSERT INTO t VALUES (1)").await;
    let started = Instant::now();
    assert_eq!(
        reader.failure("INSERT INTO t VALUES (2)").await,
        "database is locked"
    );
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "waited in vain"
    );
}

#[tokio::test]
async fn writers_that_compete_all_succeed() {
    let application = Application::new();
    application
        .open_with_table()
        .await
        .execute("INSERT INTO t VALUES (0)")
        .await;
    let writers = (0..20).map(|_| async {
        let component = application.open();
        component.execute("PRAGMA busy_timeout = 60000").await;
        component.execute("BEGIN IMMEDIATE").await;
        component.execute("UPDATE t SET a = a + 1").await;
        component.execute("COMMIT").await;
    });
    futures::future::join_all(writers).await;
    assert_eq!(application.open().number("SELECT a FROM t").await, 20);
}

#[tokio::test]
async fn a_host_that_is_never_idle_lets_others_write() {
    let application = Application::new();
    let other = application.elsewhere();
    application.open_with_table().await;
    let busy = async || {
        loop {
            let component = application.open();
            component.execute("PRAGMA busy_timeout = 60000").await;
            component.execute("BEGIN IMMEDIATE").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            component.execute("COMMIT").await;
        }
    };
    let patient = async {
        let component = other.open();
        component.execute("PRAGMA busy_timeout = 60000").await;
        for number in 0..30 {
            let insertion = format!("INSERT INTO t VALUES ({number})");
            component.execute(&insertion).await;
            // The others have it again.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // Seconds suffice. Without turns, each insertion takes some.
    let patient = tokio::time::timeout(Duration::from_secs(60), patient);
    tokio::select! {
        inserted = patient => inserted.expect("the lock"),
        // They hand the lock to each other.
        ((), ()) = async { tokio::join!(busy(), busy()) } => {}
    }
}
