//! The write-ahead log: how long it grows.

use std::time::{Duration, Instant};

use super::*;

#[tokio::test]
async fn a_log_does_not_grow_under_steady_writing() {
    let application = Application::new();
    let component = application.open_with_table().await;
    component.execute("PRAGMA synchronous = NORMAL").await;
    component.execute("INSERT INTO t VALUES (NULL)").await;
    for _ in 0..300 {
        let blob = vec![Value::Blob(vec![0; 400_000])];
        component
            .try_execute("UPDATE t SET a = ?1", blob)
            .await
            .expect("update");
    }
    let log = application
        .databases
        .get("default")
        .expect("database")
        .log_size();
    assert!(log < 100_000_000, "{log} bytes");
}

#[tokio::test]
async fn a_long_log_is_copied_into_the_database_aside() {
    let application = Application::new();
    let component = application.open_with_table().await;
    component.execute("PRAGMA synchronous = NORMAL").await;
    let before = component.number("PRAGMA page_count").await;
    let blob = vec![Value::Blob(vec![0; 8_000_000])];
    component
        .try_execute("INSERT INTO t VALUES (?1)", blob)
        .await
        .expect("insert");
    let file = application.databases.get("default").expect("database");
    let deadline = Instant::now() + Duration::from_secs(10);
    while file.size() < 8_000_000 {
        assert!(
            Instant::now() < deadline,
            "no checkpoint since page {before}"
        );
        tokio::task::yield_now().await;
    }
}
