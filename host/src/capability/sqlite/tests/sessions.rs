//! What belongs to one connection of a component.

use super::*;

#[tokio::test]
async fn changes_and_rowid_are_of_the_session() {
    let application = Application::new();
    let component = application.open_with_table().await;
    component.execute("INSERT INTO t VALUES (1), (2)").await;
    let session = component.lock().await;
    assert_eq!((session.changes(), session.last_insert_rowid()), (2, 2));
    drop(session);
    drop(component);
    let component = application.open();
    let session = component.lock().await;
    assert_eq!((session.changes(), session.last_insert_rowid()), (0, 0));
    drop(session);
    component.execute("UPDATE t SET a = 3 WHERE a = 1").await;
    let session = component.lock().await;
    assert_eq!((session.changes(), session.last_insert_rowid()), (1, 0));
}

#[tokio::test]
async fn a_transaction_left_open_is_rolled_back() {
    let application = Application::new();
    let component = application.open_with_table().await;
    component.execute("BEGIN IMMEDIATE").await;
    component.execute("INSERT INTO t VALUES (1)").await;
    drop(component);
    let component = application.open();
    assert_eq!(component.number("SELECT count(*) FROM t").await, 0);
    component.execute("BEGIN IMMEDIATE").await;
}

#[tokio::test]
async fn what_a_component_set_does_not_reach_the_next() {
    let application = Application::new();
    let component = application.open_with_table().await;
    component.execute("PRAGMA synchronous = OFF").await;
    component.execute("PRAGMA foreign_keys = OFF").await;
    component.execute("PRAGMA busy_timeout = 7").await;
    component.execute("CREATE TEMP TABLE u (a)").await;
    assert_eq!(component.number("PRAGMA busy_timeout").await, 7);
    drop(component);
    let component = application.open();
    assert_eq!(component.number("PRAGMA synchronous").await, 2);
    assert_eq!(component.number("PRAGMA foreign_keys").await, 1);
    assert_eq!(component.number("PRAGMA busy_timeout").await, 5000);
    assert_eq!(
        component.failure("SELECT * FROM u").await,
        "no such table: u"
    );
}

#[tokio::test]
async fn a_repeated_pragma_takes_effect_every_time() {
    let component = Application::new().open();
    for level in [1, 0, 1, 0] {
        component
            .execute(&format!("PRAGMA synchronous = {level}"))
            .await;
        assert_eq!(component.number("PRAGMA synchronous").await, level);
    }
}
