-- A database as version 1 of the adapter left it.
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
        reason TEXT,
        UNIQUE (event, subscription)
    ) STRICT;
INSERT INTO "deliveries" VALUES(1,1,1,NULL,1,0,0,1763600000000,NULL,NULL);
INSERT INTO "deliveries" VALUES(2,1,2,NULL,2,1,0,1763600060000,NULL,NULL);
INSERT INTO "deliveries" VALUES(3,1,3,NULL,1,0,0,4102444800000,NULL,NULL);
INSERT INTO "deliveries" VALUES(4,1,4,'key',1,0,0,1763600000000,NULL,NULL);
INSERT INTO "deliveries" VALUES(5,1,5,'key',4,0,0,1763600000000,NULL,NULL);
INSERT INTO "deliveries" VALUES(6,1,6,NULL,5,3,0,1763600000000,1763600001000,'no');
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
INSERT INTO "documents" VALUES(1,'things','a',4,1763600000000,1763600000000,'[["by-name","x"]]','[]',X'7B7D');
CREATE TABLE entries (
        collection TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        key TEXT NOT NULL,
        document INTEGER NOT NULL,
        PRIMARY KEY (collection, name, value, key)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "entries" VALUES('things','by-name','x','a',1);
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
INSERT INTO "events" VALUES(3,'delayed',1,'thing.happened',NULL,1763600000000,4102444800000,X'64656C61796564');
INSERT INTO "events" VALUES(4,'first',1,'thing.happened','key',1763600000000,NULL,X'6669727374');
INSERT INTO "events" VALUES(5,'behind',1,'thing.happened','key',1763600000000,NULL,X'626568696E64');
INSERT INTO "events" VALUES(6,'dead',1,'thing.happened',NULL,1763600000000,NULL,X'64656164');
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
        retried INTEGER NOT NULL DEFAULT 0,
        UNIQUE (topic, service)
    ) STRICT;
INSERT INTO "subscriptions" VALUES(1,1,'service',3,1000,60000,0,7,2);
CREATE TABLE topics (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;
INSERT INTO "topics" VALUES(1,'topic');
CREATE INDEX removals_by_time ON removals (removed_ms);
CREATE INDEX blobs_unreferenced ON blobs (unreferenced_ms)
        WHERE unreferenced_ms IS NOT NULL;
CREATE INDEX events_by_topic ON events (topic, sequence);
CREATE INDEX events_by_time ON events (published_ms);
CREATE INDEX deliveries_due ON deliveries (subscription, due_ms) WHERE state <= 2;
CREATE UNIQUE INDEX deliveries_holding ON deliveries (subscription, subject)
        WHERE subject IS NOT NULL AND state <= 3;
CREATE INDEX deliveries_waiting ON deliveries (subscription, subject, event)
        WHERE state = 4;
CREATE INDEX deliveries_dead ON deliveries (died_ms) WHERE died_ms IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',6);
INSERT INTO "sqlite_sequence" VALUES('deliveries',6);
PRAGMA user_version = 1;
