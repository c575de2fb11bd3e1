//! The tables and stored functions, and how a database comes to have them.
//!
//! Nobody asks for the version before a statement. The functions have a schema
//! that names it, so an adapter finds those of its own version, or none; then it
//! looks here. A newer adapter that changes what the functions rely on drops
//! them.

use emporium_adapter::Failure;

use crate::{
    connection::{gather, run},
    refused::Refused,
    row::Row,
};

/// What this adapter reads and writes.
pub(crate) const VERSION: u32 = 2;

const FIND: &str = "SELECT version FROM emporium.schema";

/// One statement, and therefore one transaction. The lock makes hosts that start
/// at the same time take turns, and the others then find it done.
const MIGRATE: &str = concat!(
    "DO $migrate$ BEGIN
        PERFORM pg_advisory_xact_lock(1701667184, 0);
        IF to_regclass('emporium.schema') IS NULL THEN
    ",
    include_str!("../sql/tables.sql"),
    "   ELSIF (SELECT version FROM emporium.schema) = 1 THEN
    ",
    include_str!("../sql/upgrade.sql"),
    "   END IF;
        IF to_regnamespace('emporium_2') IS NULL AND (SELECT version FROM emporium.schema) = 2 THEN
            CREATE SCHEMA emporium_2;
    ",
    include_str!("../sql/views.sql"),
    include_str!("../sql/lanes.sql"),
    include_str!("../sql/claims.sql"),
    include_str!("../sql/commit.sql"),
    include_str!("../sql/operations.sql"),
    include_str!("../sql/blobs.sql"),
    "   END IF;
    END $migrate$"
);

/// Bring the database up to date.
pub(crate) async fn migrate() -> Result<(), Failure> {
    match version().await? {
        Some(VERSION) => return Ok(()),
        Some(newer) if newer > VERSION => return Err(Failure::NewerSchema(newer)),
        _ => {}
    }
    run(async |connection| connection.execute_async(MIGRATE.into(), Vec::new()).await).await?;
    match version().await? {
        Some(VERSION) => Ok(()),
        Some(newer) if newer > VERSION => Err(Failure::NewerSchema(newer)),
        other => Err(Failure::Other(format!(
            "the database has schema version {other:?} after its migration"
        ))),
    }
}

async fn version() -> Result<Option<u32>, Failure> {
    match run(async |connection| gather(connection, FIND, Vec::new()).await).await {
        Ok(rows) => {
            let row = rows.into_iter().next().map(Row::from);
            row.map(|mut row| row.unsigned()).transpose()
        }
        Err(Refused::Undefined(_)) => Ok(None),
        Err(refused) => Err(refused.into()),
    }
}
