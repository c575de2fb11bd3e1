//! What a component sees of its databases.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::reply::Reply;
use super::*;
use crate::capability::REPLY_LIMIT;

const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";

struct Application {
    databases: Databases,
    _folder: tempfile::TempDir,
}

impl Application {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        Self {
            databases: Databases::new(folder.path().to_owned(), &BTreeMap::new()),
            _folder: folder,
        }
    }

    fn open(&self) -> Component {
        let database = self.databases.get("default").expect("database");
        Component(Arc::new(Mutex::new(
            Session::open(database).expect("session"),
        )))
    }

    /// A connection to a database with a write-ahead log and a table `t (a)`.
    async fn open_with_table(&self) -> Component {
        let component = self.open();
        component.execute("PRAGMA journal_mode = WAL").await;
        component.execute("CREATE TABLE IF NOT EXISTS t (a)").await;
        component
    }
}

struct Component(Arc<Mutex<Session>>);

impl Component {
    async fn try_execute(&self, sql: &str, parameters: Vec<Value>) -> Result<Reply, Error> {
        Session::execute(&self.0, sql.into(), parameters).await
    }

    async fn execute(&self, sql: &str) -> Reply {
        self.try_execute(sql, vec![]).await.expect(sql)
    }

    async fn failure(&self, sql: &str) -> String {
        let error = self.try_execute(sql, vec![]).await.expect_err(sql);
        let Error::Io(message) = error else {
            return format!("{error:?}");
        };
        message
    }

    async fn number(&self, sql: &str) -> i64 {
        let reply = self.execute(sql).await;
        let value = reply.rows.first().and_then(|row| row.values.first());
        let number = value.map(|value| {
            if let Value::Integer(number) = value {
                Some(*number)
            } else {
                None
            }
        });
        number.flatten().expect(sql)
    }

    async fn lock(&self) -> tokio::sync::OwnedMutexGuard<Session> {
        Session::lock(&self.0).await
    }
}

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
    reader.execute("BEGIN").await;
    reader.execute("SELECT * FROM t").await;
    writer.execute("INSERT INTO t VALUES (1)").await;
    let started = Instant::now();
    assert_eq!(
        reader.failure("INSERT INTO t VALUES (2)").await,
        "database is locked"
    );
    assert!(started.elapsed() < Duration::from_secs(4), "waited in vain");
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
        component.execute("BEGIN IMMEDIATE").await;
        component.execute("UPDATE t SET a = a + 1").await;
        component.execute("COMMIT").await;
    });
    futures::future::join_all(writers).await;
    assert_eq!(application.open().number("SELECT a FROM t").await, 20);
}

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

#[tokio::test]
async fn a_small_reply_costs_no_thread() {
    let component = Application::new().open();
    let reply = stream::execute(&component.0, "SELECT 1".into(), vec![]);
    let reply = futures::FutureExt::now_or_never(reply)
        .expect("it waited")
        .expect("reply");
    assert!(reply.1.is_none());
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
