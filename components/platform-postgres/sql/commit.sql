-- Units of work, committed: one call, one transaction, one round trip.

-- Topics by name; those that are new are made. Keeps subscriptions from being made
-- or forgotten until the transaction ends. Publishers do not wait for each other.
CREATE FUNCTION emporium_2.enter_topics(p_topic text[]) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
    v_topics int[];
BEGIN
    v_topics := ARRAY(
        SELECT (SELECT t.id FROM emporium.topics AS t WHERE t.name = w.name)
        FROM unnest(p_topic) WITH ORDINALITY AS w (name, n) ORDER BY w.n
    );
    IF array_position(v_topics, NULL) IS NOT NULL THEN
        INSERT INTO emporium.topics (name)
        SELECT name FROM unnest(p_topic) AS name ORDER BY name ON CONFLICT DO NOTHING;
        v_topics := ARRAY(
            SELECT (SELECT t.id FROM emporium.topics AS t WHERE t.name = w.name)
            FROM unnest(p_topic) WITH ORDINALITY AS w (name, n) ORDER BY w.n
        );
    END IF;
    PERFORM pg_advisory_xact_lock_shared(1701667184, id)
    FROM (SELECT id FROM unnest(v_topics) AS id ORDER BY id) AS t;
    RETURN v_topics;
END $$;

-- Publish events that are not there yet, and owe them to the subscriptions of
-- their topics, whose keys the caller has locked. Returns the topics that had
-- nothing to do, and now have, with the position in a trace of an event that
-- changed that.
CREATE FUNCTION emporium_2.publish(
    p_topics int[], p_topic text[], p_event_topic int[], p_event_id text[], p_kind text[],
    p_subject text[], p_not_before bigint[], p_trace text[], p_at int[], p_bytes int[],
    p_heap bytea, p_taken_subscription int[], p_taken_subject text[], p_now bigint,
    OUT woken text[], OUT trace text[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_sequence bigint[];
    v_topic int[];
    v_subject text[];
    v_due bigint[];
    v_owed bigint[];
    v_ready bigint[];
    v_woken int[];
BEGIN
    -- `low_marks` are safe only if whoever has drawn a number is seen to be at work.
    PERFORM pg_current_xact_id();
    WITH published AS (
        -- Numbered in their order, inserted in that of their ids: two publishers of the
        -- same events do not wait for each other.
        INSERT INTO emporium.events
            (sequence, id, topic, kind, subject, published_ms, not_before_ms, envelope)
        OVERRIDING SYSTEM VALUE
        SELECT e.sequence, e.id, p_topics[e.topic], e.kind, e.subject, p_now, e.not_before,
            substring(p_heap FROM e.at FOR e.bytes)
        FROM (
            SELECT nextval('emporium.events_sequence_seq') AS sequence, e.*
            FROM unnest(p_event_topic, p_event_id, p_kind, p_subject, p_not_before, p_at, p_bytes)
                WITH ORDINALITY AS e (topic, id, kind, subject, not_before, at, bytes, n)
            ORDER BY e.n
        ) AS e
        ORDER BY e.id, e.sequence
        ON CONFLICT (id) DO NOTHING
        RETURNING sequence, topic, subject, greatest(not_before_ms, published_ms) AS due
    )
    SELECT array_agg(sequence ORDER BY sequence), array_agg(topic ORDER BY sequence),
        array_agg(subject ORDER BY sequence), array_agg(due ORDER BY sequence)
    INTO v_sequence, v_topic, v_subject, v_due FROM published;

    IF v_sequence IS NOT NULL AND array_remove(v_subject, NULL) = '{}' AND p_now >= ALL (v_due) THEN
        WITH ready AS (
            INSERT INTO emporium.deliveries (id, owed_ms)
            SELECT (s.id::bigint << 44) | e.sequence, e.due
            FROM unnest(v_sequence, v_topic, v_due) AS e (sequence, topic, due)
            JOIN emporium.subscriptions AS s ON s.topic = e.topic
            RETURNING id
        )
        SELECT array_agg(id) INTO v_ready FROM ready;
    ELSIF v_sequence IS NOT NULL THEN
        SELECT array_agg(o.id ORDER BY o.id), array_agg(o.subject ORDER BY o.id),
            array_agg(o.due ORDER BY o.id)
        INTO v_owed, v_subject, v_due
        FROM (
            SELECT (s.id::bigint << 44) | e.sequence AS id, e.subject, e.due
            FROM unnest(v_sequence, v_topic, v_subject, v_due)
                AS e (sequence, topic, subject, due)
            JOIN emporium.subscriptions AS s ON s.topic = e.topic
        ) AS o;
        IF v_owed IS NOT NULL THEN
            v_ready := emporium_2.enter(v_owed, v_subject, v_due, v_due,
                array_fill(0, ARRAY[cardinality(v_owed)]),
                array_fill(0, ARRAY[cardinality(v_owed)]), false,
                p_taken_subscription, p_taken_subject, p_now);
        END IF;
    END IF;
    IF p_taken_subject IS NOT NULL
        AND coalesce(cardinality(v_sequence), 0) < cardinality(p_event_id)
    THEN
        -- Keys that were taken for events that had been published before stay free.
        FOR i IN 1 .. cardinality(p_taken_subject) LOOP
            CONTINUE WHEN EXISTS (
                SELECT FROM unnest(v_owed, v_subject) AS o (id, subject)
                WHERE o.id >> 44 = p_taken_subscription[i] AND o.subject = p_taken_subject[i]
            );
            DELETE FROM emporium.lanes
            WHERE subscription = p_taken_subscription[i] AND subject = p_taken_subject[i];
        END LOOP;
    END IF;

    -- To wake: topics of subscriptions that now have something to claim, and of
    -- which nothing recent was there to claim: their consumers may have stopped
    -- looking. To look at all that is not recent would mean to walk over
    -- everything that vacuum has not yet removed. A consumer that finds nothing
    -- more looks again while a publisher is at work, so that it cannot miss what
    -- is published without a wake. And topics that nobody has subscribed to.
    SELECT array_agg(DISTINCT s.topic) INTO v_woken
    FROM (SELECT DISTINCT (r.id >> 44)::int AS id FROM unnest(v_ready) AS r (id)) AS r
    JOIN emporium.subscriptions AS s ON s.id = r.id
    WHERE (
        SELECT true FROM emporium.deliveries AS d
        WHERE d.id >= ((s.id::bigint << 44) | greatest(v_sequence[1] - 32, 0))
            AND d.id < ((s.id::bigint << 44) | v_sequence[1])
            AND NOT d.leased AND d.free_ms <= p_now
        LIMIT 1
    ) IS NULL;
    SELECT array_cat(v_woken, array_agg(DISTINCT t.id)) INTO v_woken
    FROM unnest(v_topic) AS t (id)
    WHERE NOT EXISTS (SELECT FROM emporium.subscriptions AS s WHERE s.topic = t.id);
    IF v_woken IS NOT NULL THEN
        SELECT array_agg(p_topic[t.n]), array_agg((
            SELECT e.trace FROM unnest(p_event_topic, p_trace, p_not_before)
                WITH ORDINALITY AS e (topic, trace, not_before, n)
            WHERE e.topic = t.n AND e.trace IS NOT NULL AND coalesce(e.not_before <= p_now, true)
            ORDER BY e.n LIMIT 1
        ))
        INTO woken, trace
        FROM unnest(p_topics) WITH ORDINALITY AS t (id, n) WHERE t.id = ANY (v_woken);
    END IF;
END $$;

-- Commit units, none of which writes a document, settles a delivery or has an id
-- that another of them does.
--
-- Everything comes in columns; a number of a unit or a write is its place, from
-- 1. Values of documents and envelopes lie one behind the other in `p_heap`.
-- `p_expected` is 0 for `absent`, -1 for `any`, a version otherwise. A follower names
-- the lease that covers it by the place of that.
--
-- Returns the version of each write, and for each unit that was refused why:
-- the write that is in conflict and the version found (0 for none), or the
-- digest that is missing, or neither of them and `repeated` or not: then the
-- lease is lost.
--
-- A document that another transaction created a moment ago cannot be seen here,
-- and only stops the insertion. Then this raises EM001, and is called again.
CREATE FUNCTION emporium_2.commit(
    p_unit_id text[],
    p_lease_unit int[], p_lease_id bigint[], p_lease_attempt int[],
    p_follower_lease int[], p_follower bigint[],
    p_write_unit int[], p_write_puts int[], p_collection text[], p_key text[],
    p_expected bigint[], p_value_at int[], p_value_bytes int[],
    p_entry_write int[], p_entry text[], p_blob_write int[], p_blob text[],
    p_topic text[], p_event_unit int[], p_event_topic int[], p_event_id text[],
    p_kind text[], p_subject text[], p_not_before bigint[], p_trace text[],
    p_event_at int[], p_event_bytes int[], p_heap bytea,
    OUT version bigint[], OUT refused int[], OUT repeated int[], OUT conflicting int[],
    OUT found_version bigint[], OUT missing text[], OUT woken text[], OUT trace text[]
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_now bigint := emporium.now_ms();
    v_noted text[];
    v_seen int[];
    v_before bigint[];
    v_versions bigint[];
    v_settled bigint[];
    v_owed bigint[];
    v_lane_subscription int[];
    v_lane_subject text[];
    v_lane_single bigint[];
    v_lane_head bigint[];
    v_followers bigint[];
    v_follower_owed bigint[];
    v_topics int[];
    v_taken_subscription int[];
    v_taken_subject text[];
    v_old_blobs text[];
    v_base bigint[];
    v_removed bigint[];
    v_rows bigint;
    v_places tid[];
BEGIN
    PERFORM emporium_2.check_isolation();
    refused := '{}';
    repeated := '{}';
    conflicting := '{}';
    found_version := '{}';
    missing := '{}';
    version := '{}';

    IF cardinality(p_unit_id) > 0 THEN
        WITH noted AS (
            INSERT INTO emporium.units (id, committed_ms)
            SELECT id, v_now FROM unnest(p_unit_id) AS id WHERE id IS NOT NULL ORDER BY id
            ON CONFLICT DO NOTHING RETURNING id
        )
        SELECT coalesce(array_agg(id), '{}') INTO v_noted FROM noted;
        SELECT coalesce(array_agg(u.n::int), '{}'), coalesce(array_agg(1), '{}'),
            coalesce(array_agg(0), '{}'), coalesce(array_agg(0::bigint), '{}'),
            coalesce(array_agg(NULL::text), '{}')
        INTO refused, repeated, conflicting, found_version, missing
        FROM unnest(p_unit_id) WITH ORDINALITY AS u (id, n)
        WHERE u.id IS NOT NULL AND u.id <> ALL (v_noted);
    END IF;

    -- Documents that are expected to exist, or may, are locked and looked at.
    IF cardinality(p_collection) > 0 THEN
        v_before := array_fill(0::bigint, ARRAY[cardinality(p_collection)]);
        WITH there AS MATERIALIZED (
            SELECT w.n::int AS n, d.version, d.blobs
            FROM (
                SELECT * FROM unnest(p_collection, p_key) WITH ORDINALITY AS w (collection, key, n)
                ORDER BY collection, key
            ) AS w
            CROSS JOIN LATERAL (
                SELECT d.version, d.blobs FROM emporium.documents AS d
                WHERE d.collection = w.collection AND d.key = w.key FOR UPDATE
            ) AS d
        ), conflict AS (
            SELECT w.unit, w.n::int AS n, t.version
            FROM unnest(p_write_unit, p_expected) WITH ORDINALITY AS w (unit, expected, n)
            LEFT JOIN there AS t ON t.n = w.n
            WHERE (w.expected = 0 AND t.n IS NOT NULL)
                OR (w.expected > 0 AND t.version IS DISTINCT FROM w.expected)
        ), first AS (
            SELECT DISTINCT ON (unit) unit, n, version FROM conflict
            WHERE unit <> ALL (refused) ORDER BY unit, n
        )
        SELECT
            (SELECT array_agg(t.n) FROM there AS t),
            (SELECT array_agg(t.version) FROM there AS t),
            (SELECT array_agg(b.digest) FROM there AS t, unnest(t.blobs) AS b (digest)),
            refused || coalesce(array_agg(unit), '{}'),
            repeated || coalesce(array_agg(0), '{}'),
            conflicting || coalesce(array_agg(n), '{}'),
            found_version || coalesce(array_agg(coalesce(version, 0)), '{}'),
            missing || coalesce(array_agg(NULL::text), '{}')
        INTO v_seen, v_versions, v_old_blobs, refused, repeated, conflicting, found_version, missing
        FROM first;
        IF v_seen IS NOT NULL THEN
            FOR i IN 1 .. cardinality(v_seen) LOOP
                v_before[v_seen[i]] := v_versions[i];
            END LOOP;
        END IF;
    END IF;

    -- Blobs are kept from being swept from here on. Those that a document lets go of
    -- are locked with them, because nothing may be locked out of order later.
    IF cardinality(p_blob) > 0 OR v_old_blobs IS NOT NULL THEN
        PERFORM 1 FROM emporium.blobs WHERE digest = ANY (p_blob || v_old_blobs)
        ORDER BY id FOR UPDATE;
    END IF;
    IF cardinality(p_blob) > 0 THEN
        WITH absent AS (
            SELECT DISTINCT ON (p_write_unit[b.write]) p_write_unit[b.write] AS unit, b.digest
            FROM unnest(p_blob_write, p_blob) WITH ORDINALITY AS b (write, digest, n)
            WHERE p_write_unit[b.write] <> ALL (refused)
                AND (SELECT true FROM emporium.blobs WHERE digest = b.digest LIMIT 1) IS NULL
            ORDER BY p_write_unit[b.write], b.n
        )
        SELECT refused || coalesce(array_agg(unit), '{}'),
            repeated || coalesce(array_agg(0), '{}'),
            conflicting || coalesce(array_agg(0), '{}'),
            found_version || coalesce(array_agg(0::bigint), '{}'),
            missing || coalesce(array_agg(digest), '{}')
        INTO refused, repeated, conflicting, found_version, missing FROM absent;
    END IF;

    IF cardinality(p_lease_id) > 0 THEN
        IF EXISTS (
            SELECT FROM (SELECT DISTINCT (l.id >> 44)::int AS id FROM unnest(p_lease_id) AS l (id)) AS l
            WHERE (SELECT true FROM emporium.subscriptions AS s WHERE s.id = l.id) IS NULL
        ) THEN
            -- Leases of a subscription that was forgotten hold no longer.
            p_lease_attempt := ARRAY(
                SELECT CASE WHEN s.id IS NULL THEN -1 ELSE l.attempt END
                FROM unnest(p_lease_id, p_lease_attempt) WITH ORDINALITY AS l (id, attempt, n)
                LEFT JOIN emporium.subscriptions AS s ON s.id = (l.id >> 44)::int
                ORDER BY l.n
            );
        END IF;
        -- A unit that is committed again fails at the versions it wrote itself.
        -- What its author must know is that the work is done.
        IF cardinality(refused) > 0 THEN
            FOR i IN 1 .. cardinality(refused) LOOP
                CONTINUE WHEN repeated[i] = 1 OR NOT refused[i] = ANY (p_lease_unit);
                IF EXISTS (
                    SELECT FROM unnest(p_lease_unit, p_lease_id, p_lease_attempt)
                        WITH ORDINALITY AS l (unit, id, attempt, n)
                    LEFT JOIN LATERAL (
                        SELECT d.id, d.subject FROM emporium.deliveries AS d
                        WHERE d.id = l.id AND d.attempt = l.attempt AND d.leased
                    ) AS d ON true
                    WHERE l.unit = refused[i] AND (d.id IS NULL OR EXISTS (
                        SELECT FROM unnest(p_follower_lease, p_follower) AS f (lease, id)
                        WHERE f.lease = l.n AND (
                            SELECT true FROM emporium.waiting AS w
                            WHERE w.subscription = (l.id >> 44)::int AND w.subject = d.subject
                                AND w.id = f.id
                        ) IS NULL
                    ))
                ) THEN
                    conflicting[i] := 0;
                    missing[i] := NULL;
                END IF;
            END LOOP;
        END IF;
        -- A unit that settles more than one delivery is looked at before anything of
        -- it is written.
        IF cardinality(p_follower) > 0 OR cardinality(p_lease_unit) > (
            SELECT count(DISTINCT unit) FROM unnest(p_lease_unit) AS l (unit)
        ) THEN
            WITH held AS MATERIALIZED (
                SELECT l.n, l.unit, d.id, d.subject
                FROM (
                    SELECT * FROM unnest(p_lease_unit, p_lease_id, p_lease_attempt)
                        WITH ORDINALITY AS l (unit, id, attempt, n)
                    WHERE unit <> ALL (refused) ORDER BY id
                ) AS l
                CROSS JOIN LATERAL (
                    SELECT d.id, d.subject FROM emporium.deliveries AS d
                    WHERE d.id = l.id AND d.leased AND d.attempt = l.attempt FOR UPDATE
                ) AS d
            ), lost AS (
                SELECT l.unit FROM unnest(p_lease_unit) WITH ORDINALITY AS l (unit, n)
                WHERE l.unit <> ALL (refused) AND l.n NOT IN (SELECT h.n FROM held AS h)
                UNION
                SELECT h.unit
                FROM unnest(p_follower_lease, p_follower) AS f (lease, id)
                JOIN held AS h ON h.n = f.lease
                WHERE (
                    SELECT true FROM emporium.waiting AS w
                    WHERE w.subscription = (h.id >> 44)::int AND w.subject = h.subject
                        AND w.id = f.id
                ) IS NULL
            )
            SELECT refused || coalesce(array_agg(unit), '{}'),
                repeated || coalesce(array_agg(0), '{}'),
                conflicting || coalesce(array_agg(0), '{}'),
                found_version || coalesce(array_agg(0::bigint), '{}'),
                missing || coalesce(array_agg(NULL::text), '{}')
            INTO refused, repeated, conflicting, found_version, missing FROM lost;
        END IF;
        WITH settled AS (
            DELETE FROM emporium.deliveries AS d
            WHERE d.id = ANY (p_lease_id) AND d.leased AND ((d.id, d.attempt) IN (
                SELECT l.id, l.attempt
                FROM unnest(p_lease_unit, p_lease_id, p_lease_attempt) AS l (unit, id, attempt)
                WHERE l.unit <> ALL (refused)
            )) IS TRUE
            RETURNING d.id, d.owed_ms, d.subject, d.single_until
        )
        SELECT array_agg(id), array_agg(owed_ms),
            array_agg((id >> 44)::int) FILTER (WHERE subject IS NOT NULL),
            array_agg(subject) FILTER (WHERE subject IS NOT NULL),
            array_agg(single_until) FILTER (WHERE subject IS NOT NULL),
            array_agg(id) FILTER (WHERE subject IS NOT NULL)
        INTO v_settled, v_owed, v_lane_subscription, v_lane_subject, v_lane_single, v_lane_head
        FROM settled;
        IF coalesce(cardinality(v_settled), 0) < cardinality(p_lease_id) THEN
            SELECT refused || coalesce(array_agg(unit), '{}'),
                repeated || coalesce(array_agg(0), '{}'),
                conflicting || coalesce(array_agg(0), '{}'),
                found_version || coalesce(array_agg(0::bigint), '{}'),
                missing || coalesce(array_agg(NULL::text), '{}')
            INTO refused, repeated, conflicting, found_version, missing
            FROM unnest(p_lease_unit, p_lease_id) AS l (unit, id)
            WHERE unit <> ALL (refused) AND id <> ALL (coalesce(v_settled, '{}'));
        END IF;
    END IF;
    IF v_noted <> '{}' AND cardinality(refused) > 0 THEN
        DELETE FROM emporium.units WHERE id = ANY (v_noted) AND id IN (
            SELECT p_unit_id[r] FROM unnest(refused) AS r
        );
    END IF;

    -- What is published is settled here, because topics are locked before keys.
    IF cardinality(p_event_id) > 0 AND cardinality(refused) > 0 THEN
        SELECT coalesce(array_agg(topic ORDER BY n), '{}'), coalesce(array_agg(id ORDER BY n), '{}'),
            array_agg(kind ORDER BY n), array_agg(subject ORDER BY n),
            array_agg(not_before ORDER BY n), array_agg(trace ORDER BY n),
            array_agg(at ORDER BY n), array_agg(bytes ORDER BY n)
        INTO p_event_topic, p_event_id, p_kind, p_subject, p_not_before, p_trace, p_event_at,
            p_event_bytes
        FROM unnest(p_event_unit, p_event_topic, p_event_id, p_kind, p_subject, p_not_before,
                p_trace, p_event_at, p_event_bytes)
            WITH ORDINALITY AS e (unit, topic, id, kind, subject, not_before, trace, at, bytes, n)
        WHERE e.unit <> ALL (refused);
    END IF;
    IF cardinality(p_event_id) > 0 THEN
        v_topics := emporium_2.enter_topics(p_topic);
    END IF;

    -- The keys of what is settled and of what is published, all at once: two
    -- transactions that take them one after the other would wait for each other.
    IF v_lane_subject IS NOT NULL
        OR (cardinality(p_event_id) > 0 AND cardinality(array_remove(p_subject, NULL)) > 0)
    THEN
        SELECT k.taken_subscription, k.taken_subject
        INTO v_taken_subscription, v_taken_subject
        FROM (
            SELECT array_agg(l.subscription) AS subscription, array_agg(l.subject) AS subject
            FROM (
                SELECT * FROM unnest(v_lane_subscription, v_lane_subject)
                    AS l (subscription, subject)
                UNION ALL
                SELECT s.id, e.subject
                FROM (
                    SELECT DISTINCT v_topics[u.topic] AS topic, u.subject
                    FROM unnest(p_event_topic, p_subject) AS u (topic, subject)
                    WHERE u.subject IS NOT NULL AND u.topic IS NOT NULL
                ) AS e
                CROSS JOIN LATERAL (
                    SELECT s.id FROM emporium.subscriptions AS s WHERE s.topic = e.topic OFFSET 0
                ) AS s
            ) AS l
        ) AS l
        CROSS JOIN LATERAL emporium_2.lock_lanes(l.subscription, l.subject) AS k;
    END IF;

    IF cardinality(p_collection) > 0 THEN
        -- Documents that were removed go on from that version.
        v_base := coalesce(v_before, array_fill(0::bigint, ARRAY[cardinality(p_collection)]));
        WITH removed AS MATERIALIZED (
            SELECT w.n::int AS n, w.puts, r.version, r.place
            FROM (
                SELECT * FROM unnest(p_collection, p_key, p_write_unit, p_write_puts, v_before)
                    WITH ORDINALITY AS w (collection, key, unit, puts, before, n)
                ORDER BY collection, key
            ) AS w
            CROSS JOIN LATERAL (
                SELECT r.version, r.ctid AS place FROM emporium.removals AS r
                WHERE r.collection = w.collection AND r.key = w.key FOR UPDATE
            ) AS r
            WHERE w.before = 0 AND w.unit <> ALL (refused)
        )
        SELECT array_agg(n), array_agg(r.version), array_agg(place) FILTER (WHERE puts = 1)
        INTO v_seen, v_removed, v_places FROM removed AS r;
        IF v_seen IS NOT NULL THEN
            FOR i IN 1 .. cardinality(v_seen) LOOP
                v_base[v_seen[i]] := v_removed[i];
            END LOOP;
            DELETE FROM emporium.removals WHERE ctid = ANY (v_places);
        END IF;
        version := ARRAY(
            SELECT CASE WHEN w.before > 0 THEN w.before + 1 ELSE w.base + w.puts END
            FROM unnest(v_before, v_base, p_write_puts) WITH ORDINALITY
                AS w (before, base, puts, n)
            ORDER BY w.n
        );

        IF 0 < ANY (v_before) THEN
            PERFORM emporium_2.drop_related(p_collection, p_key, v_before, p_write_unit, refused,
                p_entry_write, p_entry, p_blob_write, p_blob, v_now);
        END IF;
        IF 0 = ANY (p_write_puts) THEN
            FOR i IN 1 .. cardinality(p_collection) LOOP
                CONTINUE WHEN p_write_puts[i] = 1 OR v_before[i] = 0
                    OR p_write_unit[i] = ANY (refused);
                DELETE FROM emporium.documents
                WHERE collection = p_collection[i] AND key = p_key[i];
                INSERT INTO emporium.removals VALUES (p_collection[i], p_key[i], version[i], v_now);
            END LOOP;
        END IF;
        -- What exists is locked, and gets its next version. What does not is
        -- inserted, or was by somebody else in the meantime.
        WITH written AS (
            INSERT INTO emporium.documents AS d
                (collection, key, version, created_ms, updated_ms, entries, blobs, value)
            SELECT w.collection, w.key, w.version, v_now, v_now,
                CASE WHEN p_entry = '{}' THEN '{}' ELSE ARRAY(
                    SELECT e.part FROM unnest(p_entry) WITH ORDINALITY AS e (part, n)
                    WHERE p_entry_write[((e.n + 1) / 2)::int] = w.n ORDER BY e.n
                ) END,
                CASE WHEN p_blob = '{}' THEN '{}' ELSE ARRAY(
                    SELECT b.digest FROM unnest(p_blob_write, p_blob) AS b (write, digest)
                    WHERE b.write = w.n ORDER BY b.digest
                ) END,
                substring(p_heap FROM w.at FOR w.bytes)
            FROM unnest(p_collection, p_key, p_write_unit, p_write_puts, version, p_value_at,
                    p_value_bytes)
                WITH ORDINALITY AS w (collection, key, unit, puts, version, at, bytes, n)
            WHERE w.puts = 1 AND w.unit <> ALL (refused)
            ORDER BY w.collection, w.key
            ON CONFLICT (collection, key) DO UPDATE
                SET version = excluded.version, updated_ms = excluded.updated_ms,
                    entries = excluded.entries, blobs = excluded.blobs, value = excluded.value
                WHERE d.version = excluded.version - 1
            RETURNING 1
        )
        SELECT count(*) INTO v_rows FROM written;
        IF v_rows < (
            SELECT count(*) FROM unnest(p_write_unit, p_write_puts) AS w (unit, puts)
            WHERE w.puts = 1 AND w.unit <> ALL (refused)
        ) THEN
            RAISE EXCEPTION 'a document was created meanwhile' USING ERRCODE = 'EM001';
        END IF;
        -- Or was by somebody who removed it again: then its versions have to go on
        -- from theirs. From here on nobody else can.
        IF EXISTS (
            SELECT FROM unnest(p_collection, p_key, p_write_unit, p_write_puts, version)
                AS w (collection, key, unit, puts, version)
            WHERE w.puts = 1 AND w.version = 1 AND w.unit <> ALL (refused) AND (
                SELECT true FROM emporium.removals AS r
                WHERE r.collection = w.collection AND r.key = w.key
            )
        ) THEN
            RAISE EXCEPTION 'a document was removed meanwhile' USING ERRCODE = 'EM001';
        END IF;

        IF cardinality(p_entry_write) > 0 THEN
            INSERT INTO emporium.entries (collection, name, value, key)
            SELECT DISTINCT p_collection[e.write], p_entry[e.n * 2 - 1], p_entry[e.n * 2], p_key[e.write]
            FROM unnest(p_entry_write) WITH ORDINALITY AS e (write, n)
            WHERE p_write_unit[e.write] <> ALL (refused)
            ORDER BY 1, 2, 3, 4
            ON CONFLICT DO NOTHING;
        END IF;
        IF cardinality(p_blob) > 0 THEN
            INSERT INTO emporium.blob_references (blob, collection, key)
            SELECT DISTINCT b.id, p_collection[r.write], p_key[r.write]
            FROM unnest(p_blob_write, p_blob) AS r (write, digest)
            CROSS JOIN LATERAL (
                SELECT b.id FROM emporium.blobs AS b WHERE b.digest = r.digest OFFSET 0
            ) AS b
            WHERE p_write_unit[r.write] <> ALL (refused)
            ORDER BY 1, 2, 3
            ON CONFLICT DO NOTHING;
            UPDATE emporium.blobs SET unreferenced_ms = NULL
            WHERE unreferenced_ms IS NOT NULL AND digest = ANY (ARRAY(
                SELECT digest FROM unnest(p_blob_write, p_blob) AS r (write, digest)
                WHERE p_write_unit[r.write] <> ALL (refused)
            ));
        END IF;
    END IF;

    -- What is published comes behind those that wait already, and before the next of
    -- them is chosen.
    IF cardinality(p_event_id) > 0 THEN
        SELECT p.woken, p.trace INTO woken, trace
        FROM emporium_2.publish(v_topics, p_topic, p_event_topic, p_event_id, p_kind, p_subject,
            p_not_before, p_trace, p_event_at, p_event_bytes, p_heap,
            v_taken_subscription, v_taken_subject, v_now) AS p;
    END IF;
    IF v_lane_subject IS NOT NULL THEN
        IF cardinality(p_follower) > 0 THEN
            FOR i IN 1 .. cardinality(v_lane_head) LOOP
                WITH settled AS (
                    DELETE FROM emporium.waiting
                    WHERE subscription = v_lane_subscription[i] AND subject = v_lane_subject[i]
                        AND id = ANY (ARRAY(
                            SELECT f.id FROM unnest(p_follower_lease, p_follower) AS f (lease, id)
                            WHERE p_lease_id[f.lease] = v_lane_head[i]
                        ))
                    RETURNING id, owed_ms
                )
                SELECT array_agg(id), array_agg(owed_ms) INTO v_followers, v_follower_owed
                FROM settled;
                v_settled := v_settled || v_followers;
                v_owed := v_owed || v_follower_owed;
            END LOOP;
        END IF;
        PERFORM emporium_2.leave(v_lane_subscription, v_lane_subject, v_lane_single);
    END IF;
    IF v_settled IS NOT NULL THEN
        PERFORM emporium_2.count_settled(v_settled, v_owed, v_now);
    END IF;
END $$;

-- Remove the entries and references of documents that their next version does
-- not have.
CREATE FUNCTION emporium_2.drop_related(
    p_collection text[], p_key text[], p_before bigint[], p_unit int[], p_refused int[],
    p_entry_write int[], p_entry text[], p_blob_write int[], p_blob text[],
    p_now bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    w record;
    v_entries text[];
    v_blobs text[];
BEGIN
    FOR w IN
        SELECT u.n, d.collection, d.key, d.entries, d.blobs
        FROM unnest(p_collection, p_key, p_before, p_unit) WITH ORDINALITY
            AS u (collection, key, before, unit, n)
        CROSS JOIN LATERAL (
            SELECT * FROM emporium.documents AS d
            WHERE d.collection = u.collection AND d.key = u.key OFFSET 0
        ) AS d
        WHERE u.before > 0 AND u.unit <> ALL (p_refused)
            AND (d.entries <> '{}' OR d.blobs <> '{}')
        ORDER BY d.collection, d.key
    LOOP
        v_entries := ARRAY(
            SELECT e.part FROM unnest(p_entry) WITH ORDINALITY AS e (part, n)
            WHERE p_entry_write[((e.n + 1) / 2)::int] = w.n ORDER BY e.n
        );
        IF w.entries <> v_entries THEN
            DELETE FROM emporium.entries AS e
            USING (
                SELECT w.entries[i * 2 - 1], w.entries[i * 2]
                FROM generate_series(1, cardinality(w.entries) / 2) AS i
                EXCEPT
                SELECT v_entries[i * 2 - 1], v_entries[i * 2]
                FROM generate_series(1, cardinality(v_entries) / 2) AS i
            ) AS o (name, value)
            WHERE e.collection = w.collection AND e.name = o.name AND e.value = o.value
                AND e.key = w.key;
        END IF;
        v_blobs := ARRAY(
            SELECT o.digest FROM unnest(w.blobs) AS o (digest)
            WHERE o.digest NOT IN (
                SELECT b.digest FROM unnest(p_blob_write, p_blob) AS b (write, digest)
                WHERE b.write = w.n
            )
        );
        IF v_blobs <> '{}' THEN
            DELETE FROM emporium.blob_references
            WHERE blob = ANY (ARRAY(SELECT id FROM emporium.blobs WHERE digest = ANY (v_blobs)))
                AND collection = w.collection AND key = w.key;
            UPDATE emporium.blobs AS b SET unreferenced_ms = p_now
            WHERE b.digest = ANY (v_blobs)
                AND (SELECT true FROM emporium.blob_references AS r WHERE r.blob = b.id LIMIT 1) IS NULL;
        END IF;
    END LOOP;
END $$;

-- Publish one event that has no key and is due at once: what `commit` does with
-- a unit of nothing else, in a third of the time. Returns whether to wake the
-- topic.
CREATE FUNCTION emporium_2.publish_one(
    p_topic text, p_id text, p_kind text, p_envelope bytea
) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_now bigint := emporium.now_ms();
    v_topic int;
    v_sequence bigint;
    v_idle boolean;
BEGIN
    PERFORM emporium_2.check_isolation();
    SELECT id INTO v_topic FROM emporium.topics WHERE name = p_topic;
    IF v_topic IS NULL THEN
        INSERT INTO emporium.topics (name) VALUES (p_topic) ON CONFLICT DO NOTHING;
        SELECT id INTO STRICT v_topic FROM emporium.topics WHERE name = p_topic;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(1701667184, v_topic), pg_current_xact_id();
    INSERT INTO emporium.events (id, topic, kind, published_ms, envelope)
    VALUES (p_id, v_topic, p_kind, v_now, p_envelope)
    ON CONFLICT (id) DO NOTHING RETURNING sequence INTO v_sequence;
    IF v_sequence IS NULL THEN
        RETURN false;
    END IF;
    SELECT coalesce(bool_or((
        SELECT true FROM emporium.deliveries AS d
        WHERE d.id >= ((s.id::bigint << 44) | greatest(v_sequence - 32, 0))
            AND d.id < ((s.id::bigint << 44) | v_sequence)
            AND NOT d.leased AND d.free_ms <= v_now
        LIMIT 1
    ) IS NULL), true)
    INTO v_idle FROM emporium.subscriptions AS s WHERE s.topic = v_topic;
    INSERT INTO emporium.deliveries (id, owed_ms)
    SELECT (s.id::bigint << 44) | v_sequence, v_now
    FROM emporium.subscriptions AS s WHERE s.topic = v_topic;
    RETURN v_idle;
END $$;
