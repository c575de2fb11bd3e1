//! The write-ahead log: how long it grows.

use std::time::{Duration, Instant};

use super::*;

#[tokio::test]
async fn a_log_begins_again_under_steady_writing() {
    let application = Application::new();
    let component = application.open_with_table().await;
    component.execute("PRAGMA synchronous = NORMAL").await;
    component.execute("INSERT INTO t VALUES (NULL)").await;
    let file = application.databases.get("default").expect("database");
    let mut log = file.log_size();
    // The file of a log stays as long as it ever was. However late it begins
    // again: one that took 20 MB without growing did.
    for round in 1.. {
        for number in 0..50 {
            // What stays as it is would not be written.
            let blob = vec![Value::Blob(vec![number; 400_000])];
            component
                .try_execute("UPDATE t SET a = ?1", blob)
                .await
                .expect("update");
        }
        let before = std::mem::replace(&mut log, file.log_size());
        if log == before {
            break;
        }
        assert!(round < 40, "{log} bytes");
    }
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
