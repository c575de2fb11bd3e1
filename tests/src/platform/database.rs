//! The database under an adapter, to do to it what no adapter would.

use std::path::PathBuf;

use rusqlite::Connection;

use crate::servers::Postgres;

/// Where an adapter keeps its data.
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// The address of a database on the server that the tests share.
    Postgres(String),
}

/// As long as this is there, nothing can be written.
pub enum Outage<'a> {
    /// Another process holds the write lock, until this is dropped.
    Locked(Connection),
    /// The server lets nobody in.
    Closed(&'a str),
}

impl Database {
    /// Keep adapters from writing.
    pub fn fail(&self) -> Outage<'_> {
        match self {
            Self::Sqlite(_) => Outage::Locked(self.lock()),
            Self::Postgres(url) => {
                allow_connections(url, false);
                Outage::Closed(url)
            }
        }
    }

    /// Hold the write lock of SQLite as another process would.
    pub fn lock(&self) -> Connection {
        let connection = self.sqlite();
        connection
            .execute_batch("BEGIN IMMEDIATE")
            .expect("the lock is free");
        connection
    }

    /// Lose most of the tables.
    pub fn damage(&self) {
        for table in ["documents", "deliveries", "blobs", "events"] {
            match self {
                Self::Sqlite(_) => {
                    let drop = format!("DROP TABLE {table}");
                    self.sqlite().execute_batch(&drop).expect("dropped");
                }
                Self::Postgres(url) => {
                    let drop = format!("DROP TABLE emporium.{table} CASCADE");
                    Postgres::shared().query(url, &drop);
                }
            }
        }
    }

    /// The version that the schema says it has.
    pub fn schema_version(&self) -> u32 {
        match self {
            Self::Sqlite(_) => self
                .sqlite()
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .expect("a version"),
            Self::Postgres(url) => Postgres::shared()
                .query(url, "SELECT version FROM emporium.schema")
                .parse()
                .expect("a version"),
        }
    }

    pub fn set_schema_version(&self, version: u32) {
        match self {
            Self::Sqlite(_) => self
                .sqlite()
                .pragma_update(None, "user_version", version)
                .expect("a version"),
            Self::Postgres(url) => {
                // As a newer adapter does: its functions take the place of ours.
                let update = format!(
                    "UPDATE emporium.schema SET version = {version}; \
                     ALTER SCHEMA emporium_2 RENAME TO emporium_{version}"
                );
                Postgres::shared().query(url, &update);
            }
        }
    }

    /// Let the database's own clock, if it has one, be ahead by so much.
    pub(super) fn set_clock(&self, ahead_ms: i64) {
        if let Self::Postgres(url) = self {
            let now = format!(
                "CREATE OR REPLACE FUNCTION emporium.now_ms() RETURNS bigint LANGUAGE sql VOLATILE \
                 AS 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + ({ahead_ms})'"
            );
            Postgres::shared().query(url, &now);
        }
    }

    fn sqlite(&self) -> Connection {
        match self {
            Self::Sqlite(file) => Connection::open(file).expect("the database opens"),
            Self::Postgres(_) => panic!("this is not a SQLite database"),
        }
    }
}

impl Drop for Outage<'_> {
    fn drop(&mut self) {
        if let Self::Closed(url) = self {
            allow_connections(url, true);
        }
    }
}

fn allow_connections(url: &str, allowed: bool) {
    let (_, name) = url.rsplit_once('/').expect("the name of a database");
    let server = Postgres::shared();
    let allow = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}");
    server.query(&server.url(), &allow);
    if !allowed {
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        server.query(&server.url(), &end);
    }
}
