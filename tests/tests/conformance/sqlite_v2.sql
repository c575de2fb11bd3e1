-- A database as version 2 of the adapter left it. Delivery 6 has no event.
CREATE TABLE blob_references (
        blob INTEGER NOT NULL,
        document INTEGER NOT NULL,
        PRIMARY KEY (blob, document)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE blobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        digest TEXT UNIQUE,
        size INTEGER NOT NULL,
        unreferenced_ms INTEGER
    ) STRICT;
CREATE TABLE chunks (
        id INTEGER PRIMARY KEY,
        content BLOB NOT NULL
    ) STRICT;
CREATE TABLE clock (last_ms INTEGER NOT NULL) STRICT;
INSERT INTO "clock" VALUES(0);
CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        subscription INTEGER NOT NULL,
        event INTEGER NOT NULL,
        subject TEXT,
        state INTEGER NOT NULL,
        attempt INTEGER NOT NULL DEFAULT 0,
        forgiven INTEGER NOT NULL DEFAULT 0,
        due_ms INTEGER NOT NULL,
        died_ms INTEGER,
        reason TEXT, first_due_ms INTEGER NOT NULL DEFAULT 0, worker TEXT,
        UNIQUE (event, subscription)
    ) STRICT;
INSERT INTO "deliveries" VALUES(1,7,1,NULL,1,0,0,1763600000000,NULL,NULL,1763600000000,NULL);
INSERT INTO "deliveries" VALUES(2,7,2,NULL,2,1,0,1763600000000,NULL,NULL,1763600000000,'gone');
INSERT INTO "deliveries" VALUES(3,7,3,'key',1,0,0,1763600000000,NULL,NULL,1763600000000,NULL);
INSERT INTO "deliveries" VALUES(4,7,4,'key',4,0,0,1763600000000,NULL,NULL,1763600000000,NULL);
INSERT INTO "deliveries" VALUES(5,7,5,NULL,5,3,0,1763600000000,1763600000000,'no',1763600000000,NULL);
INSERT INTO "deliveries" VALUES(6,7,6,NULL,1,0,0,1763600000000,NULL,NULL,1763600000000,NULL);
CREATE TABLE documents (
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
    ) STRICT;
CREATE TABLE entries (
        collection TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        key TEXT NOT NULL,
        document INTEGER NOT NULL,
        PRIMARY KEY (collection, name, value, key)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE events (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        topic INTEGER NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT,
        published_ms INTEGER NOT NULL,
        not_before_ms INTEGER,
        envelope BLOB NOT NULL
    ) STRICT;
INSERT INTO "events" VALUES(1,'pending',1,'thing.happened',NULL,1763600000000,NULL,X'70656E64696E67');
INSERT INTO "events" VALUES(2,'leased',1,'thing.happened',NULL,1763600000000,NULL,X'6C6561736564');
INSERT INTO "events" VALUES(3,'first',1,'thing.happened','key',1763600000000,NULL,X'6669727374');
INSERT INTO "events" VALUES(4,'behind',1,'thing.happened','key',1763600000000,NULL,X'626568696E64');
INSERT INTO "events" VALUES(5,'dead',1,'thing.happened',NULL,1763600000000,NULL,X'64656164');
CREATE TABLE latencies (
        subscription INTEGER NOT NULL,
        bucket INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (subscription, bucket)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "latencies" VALUES(7,0,1);
INSERT INTO "latencies" VALUES(7,1,1);
INSERT INTO "latencies" VALUES(7,2,1);
INSERT INTO "latencies" VALUES(7,3,1);
INSERT INTO "latencies" VALUES(7,4,1);
INSERT INTO "latencies" VALUES(7,5,1);
INSERT INTO "latencies" VALUES(7,6,1);
INSERT INTO "latencies" VALUES(7,7,1);
INSERT INTO "latencies" VALUES(7,8,1);
INSERT INTO "latencies" VALUES(7,9,1);
INSERT INTO "latencies" VALUES(7,10,1);
INSERT INTO "latencies" VALUES(7,11,1);
INSERT INTO "latencies" VALUES(7,12,1);
INSERT INTO "latencies" VALUES(7,13,1);
INSERT INTO "latencies" VALUES(7,14,1);
INSERT INTO "latencies" VALUES(7,15,1);
CREATE TABLE removals (
        collection TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        removed_ms INTEGER NOT NULL,
        PRIMARY KEY (collection, key)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE subscriptions (
        id INTEGER PRIMARY KEY,
        topic INTEGER NOT NULL,
        service TEXT NOT NULL,
        max_attempts INTEGER NOT NULL,
        backoff_base_ms INTEGER NOT NULL,
        backoff_cap_ms INTEGER NOT NULL,
        blocks INTEGER NOT NULL,
        settled INTEGER NOT NULL DEFAULT 0,
        retried INTEGER NOT NULL DEFAULT 0, pause_after INTEGER NOT NULL DEFAULT 0, pause_ms INTEGER NOT NULL DEFAULT 0, deaths_in_a_row INTEGER NOT NULL DEFAULT 0, paused_ms INTEGER, paused_until_ms INTEGER, pause_reason TEXT, latency_ms INTEGER NOT NULL DEFAULT 0,
        UNIQUE (topic, service)
    ) STRICT;
INSERT INTO "subscriptions" VALUES(7,1,'service',3,1000,60000,0,16,2,0,0,1,1763600000000,NULL,'paused on request',1234567);
CREATE TABLE topics (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;
INSERT INTO "topics" VALUES(1,'topic');
CREATE TABLE units (
        id TEXT PRIMARY KEY,
        committed_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE workers (
        id TEXT PRIMARY KEY,
        address TEXT,
        since_ms INTEGER NOT NULL,
        in_flight INTEGER NOT NULL,
        counters TEXT NOT NULL,
        seen_ms INTEGER NOT NULL,
        gone_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE INDEX removals_by_time ON removals (removed_ms);
CREATE INDEX blobs_unreferenced ON blobs (unreferenced_ms)
        WHERE unreferenced_ms IS NOT NULL;
CREATE INDEX events_by_topic ON events (topic, sequence);
CREATE INDEX events_by_time ON events (published_ms);
CREATE UNIQUE INDEX deliveries_holding ON deliveries (subscription, subject)
        WHERE subject IS NOT NULL AND state <= 3;
CREATE INDEX deliveries_dead ON deliveries (died_ms) WHERE died_ms IS NOT NULL;
CREATE INDEX deliveries_due ON deliveries (subscription, due_ms, id, state)
        WHERE state <= 2;
CREATE INDEX deliveries_waiting ON deliveries (subscription, subject, event, due_ms)
        WHERE state = 4;
CREATE INDEX deliveries_held ON deliveries (worker)
        WHERE worker IS NOT NULL AND state = 2;
CREATE INDEX units_by_time ON units (committed_ms);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',5);
INSERT INTO "sqlite_sequence" VALUES('deliveries',6);
PRAGMA user_version = 2;
