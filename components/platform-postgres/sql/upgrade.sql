-- From version 1 to version 2. The functions of version 1 go: hosts that need them
-- find none, look at `emporium.schema`, and say that the database is too new.
DROP SCHEMA emporium_1 CASCADE;
ALTER TABLE emporium.schema ADD COLUMN swept_to bigint NOT NULL DEFAULT 0;
ALTER TABLE emporium.subscriptions
    DROP COLUMN streak,
    DROP COLUMN streak_moment,
    ADD COLUMN retry_blocks boolean NOT NULL DEFAULT true,
    ADD COLUMN half_minute bigint NOT NULL DEFAULT 0,
    ADD COLUMN deaths bigint NOT NULL DEFAULT 0,
    ADD COLUMN deaths_before bigint NOT NULL DEFAULT 0,
    ADD COLUMN settled_at_pause bigint NOT NULL DEFAULT 0,
    ADD COLUMN half_open boolean NOT NULL DEFAULT false;
ALTER TABLE emporium.tallies
    DROP COLUMN settled_moment,
    ADD COLUMN half_minute bigint NOT NULL DEFAULT 0,
    ADD COLUMN settled_lately bigint NOT NULL DEFAULT 0,
    ADD COLUMN settled_before bigint NOT NULL DEFAULT 0,
    ADD COLUMN longest_ms bigint NOT NULL DEFAULT 0;
-- What took up to a minute, up to ten, and longer, is counted under bounds that
-- are no lower.
UPDATE emporium.tallies
SET latency = latency[1:13] || ARRAY[0, 0, latency[14], 0, latency[15], latency[16]];
UPDATE emporium.tallies SET longest_ms = (
    SELECT b.ms FROM unnest(latency, ARRAY[
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000,
        200000, 600000, 9000000000000000
    ]::bigint[]) AS b (count, ms) WHERE b.count > 0 ORDER BY b.ms DESC LIMIT 1
) WHERE 0 < ANY (latency);
DROP SEQUENCE emporium.moments;
CREATE TABLE emporium.forgotten (
    subscription int PRIMARY KEY
);
CREATE TABLE emporium.low_marks (
    subscription int PRIMARY KEY,
    low bigint NOT NULL,
    next_low bigint NOT NULL,
    next_at xid8 NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE emporium.deliveries
    ADD COLUMN late boolean NOT NULL DEFAULT false,
    ADD COLUMN followers_until bigint,
    ADD COLUMN single_until bigint;
CREATE INDEX deliveries_late ON emporium.deliveries (id) WHERE late;
ALTER TABLE emporium.delayed
    ADD COLUMN holds boolean NOT NULL DEFAULT true,
    ADD COLUMN single_until bigint;
ALTER TABLE emporium.dead ADD COLUMN single_until bigint;
UPDATE emporium.schema SET version = 2;
