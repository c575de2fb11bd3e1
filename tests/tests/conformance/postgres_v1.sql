-- A database as version 1 of the adapter left it: its tables, some rows, and one of its
-- functions.
CREATE SCHEMA emporium_1;
CREATE FUNCTION emporium_1.claim() RETURNS int LANGUAGE sql AS 'SELECT 1';

CREATE SCHEMA IF NOT EXISTS emporium;

CREATE TABLE emporium.schema (
    version int NOT NULL,
    seen_ms bigint NOT NULL
);
INSERT INTO emporium.schema VALUES (1, 0);

CREATE FUNCTION emporium.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

CREATE TABLE emporium.documents (
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    created_ms bigint NOT NULL,
    updated_ms bigint NOT NULL,
    entries text[] NOT NULL,
    blobs text[] NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (collection, key)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE emporium.entries (
    collection text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    PRIMARY KEY (collection, name, value, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE emporium.removals (
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    removed_ms bigint NOT NULL,
    PRIMARY KEY (collection, key)
);
CREATE INDEX removals_by_time ON emporium.removals (removed_ms);

CREATE TABLE emporium.units (
    id text COLLATE "C" PRIMARY KEY,
    committed_ms bigint NOT NULL
);
CREATE INDEX units_by_time ON emporium.units (committed_ms);

CREATE TABLE emporium.blobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest text COLLATE "C" UNIQUE,
    size bigint NOT NULL,
    unreferenced_ms bigint
);
CREATE INDEX blobs_unreferenced ON emporium.blobs (unreferenced_ms)
    WHERE unreferenced_ms IS NOT NULL;

CREATE TABLE emporium.chunks (
    blob bigint NOT NULL,
    position int NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (blob, position)
);
ALTER TABLE emporium.chunks ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE emporium.blob_references (
    blob bigint NOT NULL,
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    PRIMARY KEY (blob, collection, key)
);

CREATE TABLE emporium.topics (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE emporium.events (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    topic int NOT NULL,
    kind text NOT NULL,
    subject text COLLATE "C",
    published_ms bigint NOT NULL,
    not_before_ms bigint,
    envelope bytea NOT NULL
);

CREATE INDEX events_by_topic ON emporium.events (topic, sequence);

CREATE TABLE emporium.subscriptions (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic int NOT NULL,
    service text COLLATE "C" NOT NULL,
    max_attempts bigint NOT NULL,
    backoff_base_ms bigint NOT NULL,
    backoff_cap_ms bigint NOT NULL,
    blocks boolean NOT NULL,
    pause_after bigint NOT NULL,
    pause_ms bigint NOT NULL,
    streak bigint NOT NULL DEFAULT 0,
    streak_moment bigint NOT NULL DEFAULT 0,
    paused_since_ms bigint,
    paused_until_ms bigint,
    pause_reason text,
    UNIQUE (topic, service)
);

CREATE SEQUENCE emporium.moments;

CREATE TABLE emporium.tallies (
    subscription int NOT NULL,
    part int NOT NULL,
    settled bigint NOT NULL,
    settled_moment bigint NOT NULL,
    retried bigint NOT NULL,
    latency bigint[] NOT NULL,
    latency_sum_ms bigint NOT NULL,
    PRIMARY KEY (subscription, part)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE emporium.deliveries (
    id bigint PRIMARY KEY,
    free_ms bigint NOT NULL DEFAULT 0,
    leased boolean NOT NULL DEFAULT false,
    attempt int NOT NULL DEFAULT 0,
    forgiven int NOT NULL DEFAULT 0,
    worker int,
    claim int,
    owed_ms bigint NOT NULL,
    subject text COLLATE "C"
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 1000000,
    autovacuum_vacuum_cost_delay = 0
);

CREATE TABLE emporium.delayed (
    id bigint PRIMARY KEY,
    subscription int NOT NULL,
    due_ms bigint NOT NULL,
    attempt int NOT NULL,
    forgiven int NOT NULL,
    owed_ms bigint NOT NULL,
    subject text COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
CREATE INDEX delayed_by_time ON emporium.delayed (subscription, due_ms);

CREATE TABLE emporium.lanes (
    subscription int NOT NULL,
    subject text COLLATE "C" NOT NULL,
    PRIMARY KEY (subscription, subject)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE emporium.waiting (
    subscription int NOT NULL,
    subject text COLLATE "C" NOT NULL,
    id bigint NOT NULL,
    due_ms bigint NOT NULL,
    attempt int NOT NULL,
    forgiven int NOT NULL,
    owed_ms bigint NOT NULL,
    PRIMARY KEY (subscription, subject, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE emporium.dead (
    id bigint PRIMARY KEY,
    died_ms bigint NOT NULL,
    reason text NOT NULL,
    attempt int NOT NULL,
    forgiven int NOT NULL,
    subject text COLLATE "C",
    blocking boolean NOT NULL
);
CREATE INDEX dead_by_time ON emporium.dead (died_ms, id);

CREATE TABLE emporium.workers (
    number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    address text,
    since_ms bigint NOT NULL,
    seen_ms bigint NOT NULL,
    until_ms bigint,
    in_flight bigint NOT NULL DEFAULT 0,
    counter_names text[] NOT NULL DEFAULT '{}',
    counter_values bigint[] NOT NULL DEFAULT '{}'
);
INSERT INTO emporium.documents VALUES ('things', 'a', 3, 1, 2, '{}', '{}', '{}');
INSERT INTO emporium.topics (name) VALUES ('topic');
INSERT INTO emporium.subscriptions (topic, service, max_attempts, backoff_base_ms,
    backoff_cap_ms, blocks, pause_after, pause_ms, streak, streak_moment)
VALUES (1, 'service', 3, 1000, 60000, false, 0, 0, 2, 7);
INSERT INTO emporium.events (id, topic, kind, subject, published_ms, envelope)
SELECT id, 1, 'thing.happened', subject, 1, id::bytea
FROM (VALUES ('pending', NULL), ('first', 'key'), ('behind', 'key'), ('later', NULL),
    ('dead', NULL)) AS e (id, subject);
INSERT INTO emporium.tallies
VALUES (1, 5, 7, 7, 2, '{0,0,0,0,0,0,0,0,0,0,0,0,3,2,1,1}', 90000);
INSERT INTO emporium.deliveries (id, owed_ms, subject)
VALUES ((1::bigint << 44) | 1, 1, NULL), ((1::bigint << 44) | 2, 1, 'key');
INSERT INTO emporium.lanes VALUES (1, 'key');
INSERT INTO emporium.waiting VALUES (1, 'key', (1::bigint << 44) | 3, 0, 0, 0, 1);
INSERT INTO emporium.delayed VALUES ((1::bigint << 44) | 4, 1, 9000000000000, 0, 0, 1, NULL);
INSERT INTO emporium.dead VALUES ((1::bigint << 44) | 5, 1, 'why', 3, 0, NULL, false);
