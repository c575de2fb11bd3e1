//! The tables, and how a database of an earlier version comes to have them.
//!
//! `PRAGMA user_version` counts the migrations that a database has seen. Each
//! runs in a transaction that looks at the count again, so several processes may
//! start at once.

use emporium_adapter::Failure;

use crate::connection::{Connection, Durability};

/// The steps from version N to version N + 1. Never change one: add one.
const MIGRATIONS: [&[&str]; 3] = [V1, V2, V3];

/// How often instances that start at the same time may be in each other's way.
const LOG_ATTEMPTS: usize = 20;

/// What this adapter reads and writes.
pub(crate) const VERSION: u32 = MIGRATIONS.len() as u32;

/// `deliveries.state` is one of
///
/// 0. returned: waits for its `due_ms`, while others have its key,
/// 1. ready: waits for its `due_ms`,
/// 2. leased: is being handled, until its `due_ms`,
/// 3. blocking: dead, and those behind it wait,
/// 4. waiting: for an earlier one with its key,
/// 5. dead, and those behind it went on.
///
/// States 0 to 2 can fall due. States 1 to 3 hold their ordering key: at most one
/// delivery of a subscription and key is in any of them, which the index
/// `deliveries_holding` enforces. The numbers stand in the statements as they are,
/// because a parameter would keep SQLite from using the partial indexes.
const V1: &[&str] = &[
    // `entries` and `blobs` repeat, as JSON, what the tables of these names hold
    // about the document: a write that changes neither leaves them alone.
    "CREATE TABLE documents (
        id INTEGER PRIMARY KEY,
        collection TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        entries TEXT NOT NULL,
        blobs TEXT NOT NULL,
        value BLOB NOT NULL,
        UNIQUE (collection, key)
    ) STRICT",
    "CREATE TABLE entries (
        collection TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        key TEXT NOT NULL,
        document INTEGER NOT NULL,
        PRIMARY KEY (collection, name, value, key)
    ) STRICT, WITHOUT ROWID",
    // Where the versions of removed documents go on from.
    "CREATE TABLE removals (
        collection TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        removed_ms INTEGER NOT NULL,
        PRIMARY KEY (collection, key)
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX removals_by_time ON removals (removed_ms)",
    // An upload is a blob without a digest. `unreferenced_ms` is when the last
    // document let go of it, or when it was begun.
    "CREATE TABLE blobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        digest TEXT UNIQUE,
        size INTEGER NOT NULL,
        unreferenced_ms INTEGER
    ) STRICT",
    "CREATE INDEX blobs_unreferenced ON blobs (unreferenced_ms)
        WHERE unreferenced_ms IS NOT NULL",
    // The id is made of the blob's and the position, see `upload::chunk_id`.
    "CREATE TABLE chunks (
        id INTEGER PRIMARY KEY,
        content BLOB NOT NULL
    ) STRICT",
    "CREATE TABLE blob_references (
        blob INTEGER NOT NULL,
        document INTEGER NOT NULL,
        PRIMARY KEY (blob, document)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE topics (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT",
    "CREATE TABLE events (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        topic INTEGER NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT,
        published_ms INTEGER NOT NULL,
        not_before_ms INTEGER,
        envelope BLOB NOT NULL
    ) STRICT",
    "CREATE INDEX events_by_topic ON events (topic, sequence)",
    "CREATE INDEX events_by_time ON events (published_ms)",
    "CREATE TABLE subscriptions (
        id INTEGER PRIMARY KEY,
        topic INTEGER NOT NULL,
        service TEXT NOT NULL,
        max_attempts INTEGER NOT NULL,
        backoff_base_ms INTEGER NOT NULL,
        backoff_cap_ms INTEGER NOT NULL,
        blocks INTEGER NOT NULL,
        settled INTEGER NOT NULL DEFAULT 0,
        retried INTEGER NOT NULL DEFAULT 0,
        UNIQUE (topic, service)
    ) STRICT",
    // `attempt` only grows, so that a lease from before a replay stays void;
    // `forgiven` is what of it the latest replay took off. `due_ms` of a leased
    // one is when the lease runs out. A settled delivery has no row.
    "CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        subscription INTEGER NOT NULL,
        event INTEGER NOT NULL,
        subject TEXT,
        state INTEGER NOT NULL,
        attempt INTEGER NOT NULL DEFAULT 0,
        forgiven INTEGER NOT NULL DEFAULT 0,
        due_ms INTEGER NOT NULL,
        died_ms INTEGER,
        reason TEXT,
        UNIQUE (event, subscription)
    ) STRICT",
    "CREATE INDEX deliveries_due ON deliveries (subscription, due_ms) WHERE state <= 2",
    "CREATE UNIQUE INDEX deliveries_holding ON deliveries (subscription, subject)
        WHERE subject IS NOT NULL AND state <= 3",
    "CREATE INDEX deliveries_waiting ON deliveries (subscription, subject, event)
        WHERE state = 4",
    "CREATE INDEX deliveries_dead ON deliveries (died_ms) WHERE died_ms IS NOT NULL",
];

const V2: &[&str] = &[
    // A pause without an end lasts until somebody resumes the subscription.
    "ALTER TABLE subscriptions ADD COLUMN pause_after INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE subscriptions ADD COLUMN pause_ms INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE subscriptions ADD COLUMN deaths_in_a_row INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE subscriptions ADD COLUMN paused_ms INTEGER",
    "ALTER TABLE subscriptions ADD COLUMN paused_until_ms INTEGER",
    "ALTER TABLE subscriptions ADD COLUMN pause_reason TEXT",
    // How long deliveries took from when they first fell due until they were
    // settled, in all and by bucket of the histogram.
    "ALTER TABLE subscriptions ADD COLUMN latency_ms INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE latencies (
        subscription INTEGER NOT NULL,
        bucket INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (subscription, bucket)
    ) STRICT, WITHOUT ROWID",
    "ALTER TABLE deliveries ADD COLUMN first_due_ms INTEGER NOT NULL DEFAULT 0",
    "UPDATE deliveries SET first_due_ms = (
        SELECT max(published_ms, coalesce(not_before_ms, 0)) FROM events WHERE sequence = event
    )",
    // These have all that the reports count, so that those read no delivery.
    "DROP INDEX deliveries_due",
    "CREATE INDEX deliveries_due ON deliveries (subscription, due_ms, id, state)
        WHERE state <= 2",
    "DROP INDEX deliveries_waiting",
    "CREATE INDEX deliveries_waiting ON deliveries (subscription, subject, event, due_ms)
        WHERE state = 4",
    // Who holds the lease, or held the latest one.
    "ALTER TABLE deliveries ADD COLUMN worker TEXT",
    "CREATE INDEX deliveries_held ON deliveries (worker)
        WHERE worker IS NOT NULL AND state = 2",
    "CREATE TABLE workers (
        id TEXT PRIMARY KEY,
        address TEXT,
        since_ms INTEGER NOT NULL,
        in_flight INTEGER NOT NULL,
        counters TEXT NOT NULL,
        seen_ms INTEGER NOT NULL,
        gone_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE units (
        id TEXT PRIMARY KEY,
        committed_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX units_by_time ON units (committed_ms)",
    // One row: when the time was looked at last.
    "CREATE TABLE clock (last_ms INTEGER NOT NULL) STRICT",
    "INSERT INTO clock (last_ms) VALUES (0)",
];

const V3: &[&str] = &[
    // An id is never used again: deliveries of a subscription that was forgotten
    // are removed later. The circuit breaker counts by half minutes since the Unix
    // epoch: `deaths` used up their attempts in `deaths_in`, `deaths_before` in the
    // one before that; the same for what was settled. `half_open` says that the
    // breaker has paused the subscription, when `settled_at_pause` had been settled.
    "CREATE TABLE subscriptions_3 (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        topic INTEGER NOT NULL,
        service TEXT NOT NULL,
        max_attempts INTEGER NOT NULL,
        backoff_base_ms INTEGER NOT NULL,
        backoff_cap_ms INTEGER NOT NULL,
        retry_blocks INTEGER NOT NULL,
        blocks INTEGER NOT NULL,
        pause_after INTEGER NOT NULL,
        pause_ms INTEGER NOT NULL,
        deaths_in INTEGER NOT NULL DEFAULT 0,
        deaths INTEGER NOT NULL DEFAULT 0,
        deaths_before INTEGER NOT NULL DEFAULT 0,
        settled_in INTEGER NOT NULL DEFAULT 0,
        settled_lately INTEGER NOT NULL DEFAULT 0,
        settled_before INTEGER NOT NULL DEFAULT 0,
        settled_at_pause INTEGER NOT NULL DEFAULT 0,
        half_open INTEGER NOT NULL DEFAULT 0,
        paused_ms INTEGER,
        paused_until_ms INTEGER,
        pause_reason TEXT,
        settled INTEGER NOT NULL DEFAULT 0,
        retried INTEGER NOT NULL DEFAULT 0,
        latency_ms INTEGER NOT NULL DEFAULT 0,
        longest_ms INTEGER NOT NULL DEFAULT 0,
        UNIQUE (topic, service)
    ) STRICT",
    "INSERT INTO subscriptions_3
        (id, topic, service, max_attempts, backoff_base_ms, backoff_cap_ms, retry_blocks,
        blocks, pause_after, pause_ms, paused_ms, paused_until_ms, pause_reason,
        settled, retried, latency_ms)
    SELECT id, topic, service, max_attempts, backoff_base_ms, backoff_cap_ms, 1,
        blocks, pause_after, pause_ms, paused_ms, paused_until_ms, pause_reason,
        settled, retried, latency_ms
    FROM subscriptions",
    "DROP TABLE subscriptions",
    "ALTER TABLE subscriptions_3 RENAME TO subscriptions",
    // What took up to a minute, up to ten, and longer, is counted under bounds
    // that are no lower. The slowest took no longer than its bound, or all.
    "UPDATE latencies SET bucket = 18 WHERE bucket = 15",
    "UPDATE latencies SET bucket = 17 WHERE bucket = 14",
    "UPDATE latencies SET bucket = 15 WHERE bucket = 13",
    "UPDATE subscriptions SET longest_ms = coalesce((
        SELECT min(latency_ms, coalesce(json_extract('[1, 2, 5, 10, 20, 50, 100, 200, 500,
            1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 600000]',
            '$[' || max(bucket) || ']'), latency_ms))
        FROM latencies WHERE subscription = subscriptions.id AND count > 0
    ), 0)",
    // Subscriptions that were forgotten, until all that they were owed is removed.
    "CREATE TABLE forgotten (subscription INTEGER PRIMARY KEY) STRICT",
    // The event of the last follower that was handed out under the lease. If the
    // lease runs out, any of them may have killed the handler: those up to
    // `until_event` are then handed out one at a time.
    "ALTER TABLE deliveries ADD COLUMN followers_until INTEGER",
    "CREATE TABLE singly (
        subscription INTEGER NOT NULL,
        subject TEXT NOT NULL,
        until_event INTEGER NOT NULL,
        PRIMARY KEY (subscription, subject)
    ) STRICT, WITHOUT ROWID",
    "DROP INDEX deliveries_holding",
    "CREATE UNIQUE INDEX deliveries_holding ON deliveries (subscription, subject)
        WHERE subject IS NOT NULL AND state BETWEEN 1 AND 3",
    "CREATE INDEX deliveries_returned ON deliveries (subscription, due_ms) WHERE state = 0",
    "CREATE INDEX deliveries_dead_of ON deliveries (subscription) WHERE died_ms IS NOT NULL",
    // One row: the event at which the latest sweep ended.
    "CREATE TABLE swept (published_ms INTEGER NOT NULL, event INTEGER NOT NULL) STRICT",
    "INSERT INTO swept (published_ms, event) VALUES (0, 0)",
];

/// Bring the database up to date.
pub(crate) fn migrate(connection: &Connection) -> Result<(), Failure> {
    let found = version(connection)?;
    if found > VERSION {
        return Err(Failure::NewerSchema(found));
    }
    if found == VERSION {
        return Ok(());
    }
    keep_log(connection)?;
    connection.transaction(Durability::Full, || {
        let found = version(connection)?;
        for steps in MIGRATIONS.iter().skip(found as usize) {
            for step in *steps {
                connection.execute(step, &[])?;
            }
        }
        if found < VERSION {
            connection.execute(&format!("PRAGMA user_version = {VERSION}"), &[])?;
        }
        Ok(())
    })
}

/// Have readers and one writer at a time not wait for each other.
///
/// It is a property of the file, and cannot be set inside a transaction. Where
/// others are about to set it too, SQLite refuses at once instead of waiting;
/// for a transaction it waits.
fn keep_log(connection: &Connection) -> Result<(), Failure> {
    for _ in 0..LOG_ATTEMPTS {
        match connection.execute("PRAGMA journal_mode = WAL", &[]) {
            Err(Failure::Unavailable(_)) => connection.transaction(Durability::Full, || Ok(()))?,
            set => return set,
        }
    }
    connection.execute("PRAGMA journal_mode = WAL", &[])
}

fn version(connection: &Connection) -> Result<u32, Failure> {
    connection
        .row("PRAGMA user_version", &[])?
        .ok_or_else(|| Failure::Other("`PRAGMA user_version` gave no row".into()))?
        .unsigned()
}
