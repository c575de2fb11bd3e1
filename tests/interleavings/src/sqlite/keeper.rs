//! Start states: kept in files of their own, and brought back.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// The file of the sessions, and beside it one for each state that is kept.
pub(super) struct Keeper {
    file: Connection,
    folder: PathBuf,
    tables: Vec<String>,
}

impl Keeper {
    pub(super) fn new(file: &Path) -> Self {
        let connection = Connection::open(file).expect("the database opens");
        connection
            .busy_timeout(std::time::Duration::from_secs(10))
            .expect("a timeout");
        let mut keeper = Self {
            file: connection,
            folder: file.parent().expect("a folder").join("kept"),
            tables: Vec::new(),
        };
        std::fs::create_dir_all(&keeper.folder).expect("a folder");
        keeper.tables = keeper.names(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\' ORDER BY 1",
        );
        keeper
    }

    pub(super) fn file(&self) -> &Connection {
        &self.file
    }

    pub(super) fn keep(&self, state: &str) {
        let path = self.folder.join(state);
        let _ = std::fs::remove_file(&path);
        let into = format!("VACUUM INTO '{}'", path.display());
        self.file.execute_batch(&into).expect("a copy");
    }

    pub(super) fn restore(&self, state: &str) {
        let path = self.folder.join(state);
        let mut script = format!("ATTACH '{}' AS kept; BEGIN IMMEDIATE;", path.display());
        for table in &self.tables {
            script.push_str(&format!(
                "DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM kept.{table};"
            ));
        }
        script.push_str("COMMIT; DETACH kept;");
        self.file.execute_batch(&script).expect("a restored state");
    }

    /// All rows as text; times are counted from `now_ms`, and not to the
    /// millisecond.
    pub(super) fn digest(&self, now_ms: u64) -> String {
        let now = i64::try_from(now_ms).expect("a time");
        let mut digest = String::new();
        for table in &self.tables {
            let query = format!("SELECT * FROM {table}");
            let mut statement = self.file.prepare_cached(&query).expect("a query");
            let columns = statement.column_count();
            let mut rows = statement.query([]).expect("rows");
            let mut lines = Vec::new();
            while let Some(row) = rows.next().expect("a row") {
                let line = (0..columns).map(|at| match row.get_unwrap(at) {
                    rusqlite::types::Value::Integer(time) if (time - now).abs() < 1_000_000_000 => {
                        format!("@{}", (time - now + 500).div_euclid(1000))
                    }
                    other => format!("{other:?}"),
                });
                lines.push(line.collect::<Vec<_>>().join(","));
            }
            lines.sort();
            digest.push_str(&format!("{table}: {}\n", lines.join(";")));
        }
        digest
    }

    fn names(&self, query: &str) -> Vec<String> {
        let mut statement = self.file.prepare(query).expect("a query");
        let names = statement.query_map([], |row| row.get(0)).expect("names");
        names.collect::<Result<_, _>>().expect("names")
    }
}
