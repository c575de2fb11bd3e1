//! What a component sees of its databases.

mod locks;
mod logs;
mod replies;
mod sessions;
mod statements;
mod threads;

use std::collections::BTreeMap;

use super::reply::Reply;
use super::*;
use crate::Pace;

const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";

struct Application {
    databases: Databases,
    folder: Arc<tempfile::TempDir>,
}

impl Application {
    fn new() -> Self {
        Self::on(Arc::new(tempfile::tempdir().expect("folder")))
    }

    fn on(folder: Arc<tempfile::TempDir>) -> Self {
        Self {
            databases: Databases::new(folder.path().to_owned(), &BTreeMap::new(), Pace::default()),
            folder,
        }
    }

    /// The same databases as another host has them.
    fn elsewhere(&self) -> Self {
        Self::on(Arc::clone(&self.folder))
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
