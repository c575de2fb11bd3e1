//! What goes into a statement and what comes out of it.

use super::*;

#[tokio::test]
async fn every_kind_of_value_comes_back_as_it_went_in() {
    let component = Application::new().open();
    let values = || {
        vec![
            Value::Integer(i64::MIN),
            Value::Real(0.5),
            Value::Text("ä\0b".into()),
            Value::Blob(vec![0, 255]),
            Value::Null,
        ]
    };
    let reply = component
        .try_execute("SELECT ?1 AS a, ?2, ?3, ?4, ?5", values())
        .await
        .expect("reply");
    assert_eq!(reply.columns.first().map(String::as_str), Some("a"));
    let row = reply.rows.first().expect("row");
    assert_eq!(format!("{:?}", row.values), format!("{:?}", values()));
}

#[tokio::test]
async fn a_wrong_number_of_parameters_is_refused() {
    let component = Application::new().open();
    let error = component.failure("SELECT ?1").await;
    assert_eq!(
        error,
        "Wrong number of parameters passed to query. Got 0, needed 1"
    );
}

#[tokio::test]
async fn more_than_one_statement_is_refused() {
    let component = Application::new().open();
    assert_eq!(
        component.failure("SELECT 1; SELECT 2").await,
        "Multiple statements provided"
    );
    component.execute("SELECT 1; -- and no more").await;
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_an_error() {
    let component = Application::new().open();
    assert!(
        component
            .failure("SELECT CAST(x'ff' AS TEXT)")
            .await
            .contains("utf-8")
    );
}

#[test]
fn a_label_that_is_not_a_file_name_has_no_database() {
    let application = Application::new();
    for label in ["", "../x", "a/b", "a b", "ä"] {
        assert!(
            matches!(application.databases.get(label), Err(Error::NoSuchDatabase)),
            "{label}"
        );
    }
}

#[tokio::test]
async fn a_full_database_is_told_apart() {
    let application = Application::new();
    let component = application.open_with_table().await;
    component.execute("PRAGMA max_page_count = 1").await;
    let blob = vec![Value::Blob(vec![0; 100_000])];
    let error = component
        .try_execute("INSERT INTO t VALUES (?1)", blob)
        .await;
    assert!(matches!(error, Err(Error::DatabaseFull)), "{error:?}");
}
