-- Everything that is kept. The functions that work on it have a schema of their
-- own, which names the version: an adapter of another version does not find
-- them, and looks at `emporium.schema`.

CREATE SCHEMA IF NOT EXISTS emporium;

-- One row. `seen_ms` is the latest time that a tick saw, to notice a clock that
-- was set back. `swept_to` is the event at which the latest sweep ended.
CREATE TABLE emporium.schema (
    version int NOT NULL,
    seen_ms bigint NOT NULL,
    swept_to bigint NOT NULL DEFAULT 0
);
INSERT INTO emporium.schema VALUES (2, 0);

-- The time of the database is the time of every host, so that hosts whose
-- clocks differ agree on what is due.
CREATE FUNCTION emporium.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- `entries` are pairs of name and value, one behind the other. They and `blobs`
-- repeat what the tables of these names hold about the document: a write that
-- changes neither leaves them alone.
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

-- Where the versions of removed documents go on from.
CREATE TABLE emporium.removals (
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    removed_ms bigint NOT NULL,
    PRIMARY KEY (collection, key)
);
CREATE INDEX removals_by_time ON emporium.removals (removed_ms);

-- The ids of committed units that have one.
CREATE TABLE emporium.units (
    id text COLLATE "C" PRIMARY KEY,
    committed_ms bigint NOT NULL
);
CREATE INDEX units_by_time ON emporium.units (committed_ms);

-- An upload is a blob without a digest. `unreferenced_ms` is when the last
-- document let go of it, or when it was begun.
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
-- Not compressed, so that a part of a chunk is read without the rest of it.
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

-- The policy, and the state of the circuit breaker: `deaths` used up their attempts in
-- the half minute `half_minute` (since the Unix epoch), `deaths_before` in the one
-- before. `half_open` says that the breaker has paused the subscription, when
-- `settled_at_pause` deliveries had been settled, and nothing is known yet of what
-- came after.
CREATE TABLE emporium.subscriptions (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic int NOT NULL,
    service text COLLATE "C" NOT NULL,
    max_attempts bigint NOT NULL,
    backoff_base_ms bigint NOT NULL,
    backoff_cap_ms bigint NOT NULL,
    retry_blocks boolean NOT NULL DEFAULT true,
    blocks boolean NOT NULL,
    pause_after bigint NOT NULL,
    pause_ms bigint NOT NULL,
    half_minute bigint NOT NULL DEFAULT 0,
    deaths bigint NOT NULL DEFAULT 0,
    deaths_before bigint NOT NULL DEFAULT 0,
    settled_at_pause bigint NOT NULL DEFAULT 0,
    half_open boolean NOT NULL DEFAULT false,
    paused_since_ms bigint,
    paused_until_ms bigint,
    pause_reason text,
    UNIQUE (topic, service)
);

-- Subscriptions that were forgotten, until everything of theirs is removed.
CREATE TABLE emporium.forgotten (
    subscription int PRIMARY KEY
);

-- A claim that begins anew need not look at deliveries up to `low`, except for
-- those that are `late`: there are none. Without it, it walks over all that were
-- settled and that vacuum could not remove yet. `next_low` becomes `low` as soon as
-- every transaction before `next_at` has ended: until then one of them may still
-- insert a delivery below it.
CREATE TABLE emporium.low_marks (
    subscription int PRIMARY KEY,
    low bigint NOT NULL,
    next_low bigint NOT NULL,
    next_at xid8 NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- What a subscription has counted, in parts: committers that share a row would
-- wait for each other's disk. `latency` has a count for each bucket. `settled_lately`
-- counts the half minute `half_minute`, `settled_before` the one before.
CREATE TABLE emporium.tallies (
    subscription int NOT NULL,
    part int NOT NULL,
    settled bigint NOT NULL,
    retried bigint NOT NULL,
    latency bigint[] NOT NULL,
    latency_sum_ms bigint NOT NULL,
    longest_ms bigint NOT NULL DEFAULT 0,
    half_minute bigint NOT NULL DEFAULT 0,
    settled_lately bigint NOT NULL DEFAULT 0,
    settled_before bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (subscription, part)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Deliveries that can be claimed, or are. Those that cannot yet, or never,
-- stand in the tables below, so that a claim walks over nothing but leases.
--
-- The id is made of the subscription (the bits from 44 on) and the sequence of
-- the event, so that one index serves claims, settlements and uniqueness, and a
-- lease changes nothing that is indexed. `free_ms` is when a lease runs out, 0
-- without one. `attempt` only grows, so that a lease from before a replay stays
-- void; `forgiven` is what of it does not count: what was before the latest
-- replay, and attempts nobody heard of. `claim` is the claim that took the
-- lease. `owed_ms` is when the delivery first fell due. `late` ones were inserted some
-- time after their event was published.
--
-- `followers_until` is the last of the followers that were handed out with it. If the
-- lease runs out, one of them may be what killed the handler: those up to
-- `single_until` are handed out one at a time.
CREATE TABLE emporium.deliveries (
    id bigint PRIMARY KEY,
    free_ms bigint NOT NULL DEFAULT 0,
    leased boolean NOT NULL DEFAULT false,
    attempt int NOT NULL DEFAULT 0,
    forgiven int NOT NULL DEFAULT 0,
    worker int,
    claim int,
    owed_ms bigint NOT NULL,
    subject text COLLATE "C",
    late boolean NOT NULL DEFAULT false,
    followers_until bigint,
    single_until bigint
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 1000000,
    autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX deliveries_late ON emporium.deliveries (id) WHERE late;

-- Those that fall due later. One with a key keeps its lane if it `holds` it: the
-- order of commit counts, not the order of falling due. One that waits for its next
-- attempt holds none if the policy says so.
CREATE TABLE emporium.delayed (
    id bigint PRIMARY KEY,
    subscription int NOT NULL,
    due_ms bigint NOT NULL,
    attempt int NOT NULL,
    forgiven int NOT NULL,
    owed_ms bigint NOT NULL,
    subject text COLLATE "C",
    holds boolean NOT NULL DEFAULT true,
    single_until bigint
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
CREATE INDEX delayed_by_time ON emporium.delayed (subscription, due_ms);

-- The ordering keys that are taken: by the one delivery that may be handled, or
-- by a dead one that blocks. Its row is the lock of the lane.
CREATE TABLE emporium.lanes (
    subscription int NOT NULL,
    subject text COLLATE "C" NOT NULL,
    PRIMARY KEY (subscription, subject)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- Those that wait for an earlier one with their key.
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

-- Those that were given up. One that blocks still has its lane.
CREATE TABLE emporium.dead (
    id bigint PRIMARY KEY,
    died_ms bigint NOT NULL,
    reason text NOT NULL,
    attempt int NOT NULL,
    forgiven int NOT NULL,
    subject text COLLATE "C",
    blocking boolean NOT NULL,
    single_until bigint
);
CREATE INDEX dead_by_time ON emporium.dead (died_ms, id);

-- A worker that was only named in a claim has no `until_ms`. Leases know it by
-- its number.
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
