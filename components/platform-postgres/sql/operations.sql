-- Dead letters, workers, and housekeeping.

-- Make dead letters due again, spread over time if `p_per_second` says so, in
-- the order of `p_id`. Returns how many there were, and their topics.
CREATE FUNCTION emporium_1.replay(
    p_id bigint[], p_per_second int, OUT replayed int, OUT woken text[]
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_now bigint := emporium.now_ms();
    v_id bigint[];
    v_subject text[];
    v_due bigint[];
    v_attempt int[];
    v_blocking boolean[];
BEGIN
    PERFORM 1 FROM emporium.dead WHERE id = ANY (p_id) ORDER BY id FOR UPDATE;
    WITH revived AS (
        DELETE FROM emporium.dead WHERE id = ANY (p_id) RETURNING id, subject, attempt, blocking
    ), spread AS (
        SELECT r.id, r.subject, r.attempt, r.blocking,
            v_now + coalesce((row_number() OVER (ORDER BY min(p.n)) - 1) * 1000 / p_per_second, 0)
                AS due
        FROM revived AS r JOIN unnest(p_id) WITH ORDINALITY AS p (id, n) ON p.id = r.id
        GROUP BY r.id, r.subject, r.attempt, r.blocking
    )
    SELECT array_agg(id), array_agg(subject), array_agg(due), array_agg(attempt),
        array_agg(blocking), count(*)
    INTO v_id, v_subject, v_due, v_attempt, v_blocking, replayed
    FROM spread;
    IF v_id IS NULL THEN
        RETURN;
    END IF;
    woken := emporium_1.topics_of(v_id);
    -- One that blocks has its lane, and goes before those behind it.
    INSERT INTO emporium.delayed (id, subscription, due_ms, attempt, forgiven, owed_ms, subject)
    SELECT id, id >> 44, due, attempt, attempt, due, subject
    FROM unnest(v_id, v_subject, v_due, v_attempt, v_blocking)
        AS d (id, subject, due, attempt, blocking)
    WHERE blocking;
    -- Any other waits if somebody else has its key by now, and is then the first,
    -- being the oldest.
    SELECT array_agg(id), array_agg(subject), array_agg(due), array_agg(attempt)
    INTO v_id, v_subject, v_due, v_attempt
    FROM unnest(v_id, v_subject, v_due, v_attempt, v_blocking)
        AS d (id, subject, due, attempt, blocking)
    WHERE NOT blocking;
    IF v_id IS NOT NULL THEN
        PERFORM emporium_1.enter(v_id, v_subject, v_due, v_due, v_attempt, v_attempt, v_now);
    END IF;
END $$;

-- Forget dead letters. Returns how many there were, and their topics: a key may
-- have been freed for those that waited behind it.
CREATE FUNCTION emporium_1.discard(
    p_id bigint[], OUT discarded int, OUT woken text[]
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_id bigint[];
    v_subscription int[];
    v_subject text[];
BEGIN
    PERFORM 1 FROM emporium.dead WHERE id = ANY (p_id) ORDER BY id FOR UPDATE;
    WITH discarded AS (
        DELETE FROM emporium.dead WHERE id = ANY (p_id) RETURNING id, subject, blocking
    )
    SELECT count(*), array_agg(id), array_agg((id >> 44)::int) FILTER (WHERE blocking),
        array_agg(subject) FILTER (WHERE blocking)
    INTO discarded, v_id, v_subscription, v_subject FROM discarded;
    IF v_subject IS NOT NULL THEN
        PERFORM emporium_1.leave(v_subscription, v_subject);
    END IF;
    woken := emporium_1.topics_of(v_id);
END $$;

CREATE FUNCTION emporium_1.topics_of(p_id bigint[]) RETURNS text[] LANGUAGE sql AS $$
    SELECT array_agg(DISTINCT t.name)
    FROM (SELECT DISTINCT (id >> 44)::int AS id FROM unnest(p_id) AS id) AS d
    JOIN emporium.subscriptions AS s ON s.id = d.id
    JOIN emporium.topics AS t ON t.id = s.topic
$$;

-- End a pause. Returns whether there was one.
CREATE FUNCTION emporium_1.resume(p_service text, p_topic text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := emporium.now_ms();
    v_was boolean;
BEGIN
    SELECT s.paused_since_ms IS NOT NULL
        AND (s.paused_until_ms IS NULL OR s.paused_until_ms > v_now)
    INTO v_was
    FROM emporium.subscriptions AS s JOIN emporium.topics AS t ON t.id = s.topic
    WHERE s.service = p_service AND t.name = p_topic FOR UPDATE OF s;
    UPDATE emporium.subscriptions
    SET paused_since_ms = NULL, paused_until_ms = NULL, pause_reason = NULL
    WHERE service = p_service
        AND topic = (SELECT id FROM emporium.topics WHERE name = p_topic);
    RETURN coalesce(v_was, false);
END $$;

-- Say that a worker is alive.
CREATE FUNCTION emporium_1.announce(
    p_id text, p_address text, p_since bigint, p_in_flight bigint,
    p_counter_names text[], p_counter_values bigint[], p_for bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := emporium.now_ms();
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO emporium.workers (id, address, since_ms, seen_ms, until_ms, in_flight,
        counter_names, counter_values)
    VALUES (p_id, p_address, p_since, v_now, v_now + p_for, p_in_flight,
        p_counter_names, p_counter_values)
    ON CONFLICT (id) DO UPDATE SET address = excluded.address, since_ms = excluded.since_ms,
        seen_ms = excluded.seen_ms, until_ms = excluded.until_ms,
        in_flight = excluded.in_flight, counter_names = excluded.counter_names,
        counter_values = excluded.counter_values;
    PERFORM emporium_1.forget_workers(ARRAY(
        SELECT number FROM emporium.workers WHERE until_ms <= v_now
    ), v_now);
END $$;

-- End the leases of workers that are gone.
CREATE FUNCTION emporium_1.forget_workers(p_number int[], p_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_number int[];
BEGIN
    IF p_number = '{}' THEN
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM emporium.workers WHERE number IN (
            SELECT number FROM emporium.workers WHERE number = ANY (p_number)
            FOR UPDATE SKIP LOCKED
        ) RETURNING number
    )
    SELECT array_agg(number) INTO v_number FROM gone;
    UPDATE emporium.deliveries SET free_ms = p_now
    WHERE leased AND free_ms > p_now AND worker = ANY (v_number);
END $$;

-- Returns the topics with work: after what workers that are gone held was freed,
-- and after a clock that was set back was made up for.
CREATE FUNCTION emporium_1.due_topics() RETURNS text[] LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    v_now bigint := emporium.now_ms();
    v_seen bigint;
BEGIN
    PERFORM emporium_1.forget_workers(ARRAY(
        SELECT number FROM emporium.workers WHERE until_ms <= v_now
    ), v_now);
    SELECT seen_ms INTO v_seen FROM emporium.schema;
    IF v_now < v_seen - 1000 THEN
        -- Whoever takes the row makes up for it.
        UPDATE emporium.schema SET seen_ms = v_now WHERE seen_ms = v_seen;
        IF FOUND THEN
            UPDATE emporium.deliveries SET free_ms = free_ms - (v_seen - v_now)
            WHERE leased AND free_ms > v_now;
            UPDATE emporium.deliveries SET owed_ms = least(owed_ms, v_now) WHERE owed_ms > v_now;
            UPDATE emporium.delayed SET due_ms = due_ms - (v_seen - v_now)
            WHERE due_ms > v_now AND (attempt > 0 OR due_ms <= v_seen);
            UPDATE emporium.waiting SET due_ms = v_now WHERE due_ms > v_now AND due_ms <= v_seen;
            UPDATE emporium.workers SET until_ms = until_ms - (v_seen - v_now), seen_ms = v_now;
            UPDATE emporium.subscriptions
            SET paused_until_ms = paused_until_ms - (v_seen - v_now)
            WHERE paused_until_ms > v_now;
        END IF;
    ELSIF v_now > v_seen + 500 THEN
        UPDATE emporium.schema SET seen_ms = v_now WHERE seen_ms = v_seen;
    END IF;
    RETURN ARRAY(
        SELECT t.name FROM emporium.topics AS t
        WHERE EXISTS (
            SELECT 1 FROM emporium.subscriptions AS s
            WHERE s.topic = t.id
                AND (s.paused_since_ms IS NULL OR s.paused_until_ms <= v_now)
                AND coalesce((
                    SELECT true FROM emporium.deliveries AS d
                    WHERE d.id > s.id::bigint << 44 AND d.id < (s.id + 1)::bigint << 44
                        AND d.free_ms <= v_now
                    LIMIT 1
                ), (
                    SELECT true FROM emporium.delayed AS d
                    WHERE d.subscription = s.id AND d.due_ms <= v_now LIMIT 1
                ), false)
        ) OR (
            NOT EXISTS (SELECT 1 FROM emporium.subscriptions AS s WHERE s.topic = t.id)
            AND (SELECT true FROM emporium.events AS e WHERE e.topic = t.id LIMIT 1)
        )
        ORDER BY t.name
    );
END $$;

-- Remove what has been kept long enough, a bounded amount at a time.
CREATE FUNCTION emporium_1.sweep(
    p_events bigint, p_blobs bigint, p_removals bigint, p_units bigint,
    OUT events bigint, OUT blobs bigint, OUT removals bigint, OUT units bigint
) LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_now bigint := emporium.now_ms();
    v_event record;
    v_young int := 0;
    v_old bigint[] := '{}';
    v_blobs bigint[];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    -- Events are stored in the order of their age, as long as nobody sets the
    -- clock: behind some that are young, all are. Most sweeps find only those.
    FOR v_event IN
        SELECT e.sequence, e.topic, e.subject, e.published_ms
        FROM emporium.events AS e ORDER BY e.sequence
    LOOP
        IF v_event.published_ms > v_now - p_events THEN
            v_young := v_young + 1;
            EXIT WHEN v_young = 1000;
        ELSIF NOT EXISTS (
            SELECT 1 FROM emporium.subscriptions AS s
            WHERE s.topic = v_event.topic
                AND emporium_1.is_owed(s.id, v_event.sequence, v_event.subject)
        ) THEN
            v_old := v_old || v_event.sequence;
            EXIT WHEN cardinality(v_old) = 1000;
        END IF;
    END LOOP;
    WITH swept AS (
        DELETE FROM emporium.events WHERE sequence IN (
            SELECT sequence FROM emporium.events WHERE sequence = ANY (v_old)
            ORDER BY sequence FOR UPDATE SKIP LOCKED
        ) RETURNING 1
    )
    SELECT count(*) INTO events FROM swept;

    WITH swept AS (
        DELETE FROM emporium.blobs WHERE id IN (
            SELECT id FROM emporium.blobs
            WHERE unreferenced_ms IS NOT NULL AND unreferenced_ms <= v_now - p_blobs
            ORDER BY unreferenced_ms LIMIT 50 FOR UPDATE SKIP LOCKED
        ) RETURNING id
    )
    SELECT array_agg(id), count(*) INTO v_blobs, blobs FROM swept;
    DELETE FROM emporium.chunks WHERE blob = ANY (v_blobs);

    WITH swept AS (
        DELETE FROM emporium.removals WHERE (collection, key) IN (
            SELECT collection, key FROM emporium.removals WHERE removed_ms <= v_now - p_removals
            ORDER BY removed_ms LIMIT 1000 FOR UPDATE SKIP LOCKED
        ) RETURNING 1
    )
    SELECT count(*) INTO removals FROM swept;

    WITH swept AS (
        DELETE FROM emporium.units WHERE id IN (
            SELECT id FROM emporium.units WHERE committed_ms <= v_now - p_units
            ORDER BY committed_ms LIMIT 1000 FOR UPDATE SKIP LOCKED
        ) RETURNING 1
    )
    SELECT count(*) INTO units FROM swept;
END $$;

-- Whether a subscription still has to do with an event.
CREATE FUNCTION emporium_1.is_owed(p_subscription int, p_sequence bigint, p_subject text)
RETURNS boolean LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
DECLARE
    v_id bigint := (p_subscription::bigint << 44) | p_sequence;
BEGIN
    RETURN EXISTS (SELECT 1 FROM emporium.deliveries WHERE id = v_id)
        OR EXISTS (SELECT 1 FROM emporium.delayed WHERE id = v_id)
        OR EXISTS (SELECT 1 FROM emporium.dead WHERE id = v_id)
        OR EXISTS (
            SELECT 1 FROM emporium.waiting
            WHERE subscription = p_subscription AND subject = p_subject AND id = v_id
        );
END $$;
