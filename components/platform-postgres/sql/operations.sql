-- Dead letters, workers, and housekeeping.

-- Those deliveries, in their order, whose subscription was not forgotten.
CREATE FUNCTION emporium_2.not_forgotten(p_id bigint[]) RETURNS bigint[] LANGUAGE sql AS $$
    SELECT ARRAY(
        SELECT d.id FROM unnest(p_id) WITH ORDINALITY AS d (id, n)
        WHERE (SELECT true FROM emporium.subscriptions AS s WHERE s.id = (d.id >> 44)::int)
        ORDER BY d.n
    )
$$;

-- Make dead letters due again, spread over time if `p_per_second` says so, in
-- the order of `p_id`. Returns how many there were, and their topics.
CREATE FUNCTION emporium_2.replay(
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
    v_single bigint[];
    v_subscription int[];
    v_taken_subscription int[];
    v_taken_subject text[];
BEGIN
    PERFORM emporium_2.check_isolation();
    p_id := emporium_2.not_forgotten(p_id);
    PERFORM 1 FROM emporium.dead WHERE id = ANY (p_id) ORDER BY id FOR UPDATE;
    WITH revived AS (
        DELETE FROM emporium.dead WHERE id = ANY (p_id) 
        RETURNING id, subject, attempt, blocking, single_until
    ), spread AS (
        SELECT r.id, r.subject, r.attempt, r.blocking, r.single_until,
            v_now + coalesce((row_number() OVER (ORDER BY min(p.n)) - 1) * 1000 / p_per_second, 0)
                AS due
        FROM revived AS r JOIN unnest(p_id) WITH ORDINALITY AS p (id, n) ON p.id = r.id
        GROUP BY r.id, r.subject, r.attempt, r.blocking, r.single_until
    )
    SELECT array_agg(id), array_agg(subject), array_agg(due), array_agg(attempt),
        array_agg(blocking), array_agg(single_until), count(*)
    INTO v_id, v_subject, v_due, v_attempt, v_blocking, v_single, replayed
    FROM spread;
    IF v_id IS NULL THEN
        RETURN;
    END IF;
    woken := emporium_2.topics_of(v_id);
    -- One that blocks has its lane, and goes before those behind it.
    INSERT INTO emporium.delayed
        (id, subscription, due_ms, attempt, forgiven, owed_ms, subject, single_until)
    SELECT id, id >> 44, due, attempt, attempt, due, subject, single
    FROM unnest(v_id, v_subject, v_due, v_attempt, v_blocking, v_single)
        AS d (id, subject, due, attempt, blocking, single)
    WHERE blocking;
    -- Any other waits if somebody else has its key by now, and is then the first,
    -- being the oldest.
    SELECT array_agg(id), array_agg(subject), array_agg(due), array_agg(attempt)
    INTO v_id, v_subject, v_due, v_attempt
    FROM unnest(v_id, v_subject, v_due, v_attempt, v_blocking)
        AS d (id, subject, due, attempt, blocking)
    WHERE NOT blocking;
    IF v_id IS NOT NULL THEN
        v_subscription := ARRAY(
            SELECT (d.id >> 44)::int FROM unnest(v_id) WITH ORDINALITY AS d (id, n) ORDER BY d.n
        );
        SELECT * INTO v_taken_subscription, v_taken_subject
        FROM emporium_2.lock_lanes(v_subscription, v_subject);
        PERFORM emporium_2.enter(v_id, v_subject, v_due, v_due, v_attempt, v_attempt, true,
            v_taken_subscription, v_taken_subject, v_now);
    END IF;
END $$;

-- Forget dead letters. Returns how many there were, and their topics: a key may
-- have been freed for those that waited behind it.
CREATE FUNCTION emporium_2.discard(
    p_id bigint[], OUT discarded int, OUT woken text[]
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_id bigint[];
    v_subscription int[];
    v_subject text[];
    v_single bigint[];
BEGIN
    PERFORM emporium_2.check_isolation();
    p_id := emporium_2.not_forgotten(p_id);
    PERFORM 1 FROM emporium.dead WHERE id = ANY (p_id) ORDER BY id FOR UPDATE;
    WITH discarded AS (
        DELETE FROM emporium.dead WHERE id = ANY (p_id) 
        RETURNING id, subject, blocking, single_until
    )
    SELECT count(*), array_agg(id), array_agg((id >> 44)::int) FILTER (WHERE blocking),
        array_agg(subject) FILTER (WHERE blocking), array_agg(single_until) FILTER (WHERE blocking)
    INTO discarded, v_id, v_subscription, v_subject, v_single FROM discarded;
    IF v_subject IS NOT NULL THEN
        PERFORM emporium_2.lock_lanes(v_subscription, v_subject);
        PERFORM emporium_2.leave(v_subscription, v_subject, v_single);
    END IF;
    woken := emporium_2.topics_of(v_id);
END $$;

CREATE FUNCTION emporium_2.topics_of(p_id bigint[]) RETURNS text[] LANGUAGE sql AS $$
    SELECT array_agg(DISTINCT t.name)
    FROM (SELECT DISTINCT (id >> 44)::int AS id FROM unnest(p_id) AS id) AS d
    JOIN emporium.subscriptions AS s ON s.id = d.id
    JOIN emporium.topics AS t ON t.id = s.topic
$$;

-- End a pause. Returns whether there was one.
CREATE FUNCTION emporium_2.resume(p_service text, p_topic text) RETURNS boolean
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
    SET paused_since_ms = NULL, paused_until_ms = NULL, pause_reason = NULL,
        half_open = false, deaths = 0, deaths_before = 0
    WHERE service = p_service
        AND topic = (SELECT id FROM emporium.topics WHERE name = p_topic);
    RETURN coalesce(v_was, false);
END $$;

-- End a subscription. What it is owed is removed by `sweep`. Returns whether there
-- was one.
CREATE FUNCTION emporium_2.forget(p_service text, p_topic text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_topic int;
    v_id int;
BEGIN
    PERFORM emporium_2.check_isolation();
    SELECT id INTO v_topic FROM emporium.topics WHERE name = p_topic;
    -- Nobody publishes on the topic meanwhile, and owes it something after it is gone.
    PERFORM pg_advisory_xact_lock(1701667184, v_topic);
    DELETE FROM emporium.subscriptions WHERE topic = v_topic AND service = p_service
    RETURNING id INTO v_id;
    IF v_id IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO emporium.forgotten VALUES (v_id);
    RETURN true;
END $$;

-- Say that a worker is alive.
CREATE FUNCTION emporium_2.announce(
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
END $$;

-- End the leases of workers that are gone: of those of which nothing was heard by
-- `p_silent_ms`, if that is given, because one may have been heard of meanwhile.
CREATE FUNCTION emporium_2.forget_workers(p_number int[], p_silent_ms bigint, p_now bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_number int[];
BEGIN
    IF p_number = '{}' THEN
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM emporium.workers WHERE number IN (
            SELECT number FROM emporium.workers
            WHERE number = ANY (p_number)
                AND (p_silent_ms IS NULL OR until_ms <= p_silent_ms)
            ORDER BY number FOR UPDATE SKIP LOCKED
        ) RETURNING number
    )
    SELECT array_agg(number) INTO v_number FROM gone;
    IF v_number IS NOT NULL THEN
        UPDATE emporium.deliveries SET free_ms = p_now
        WHERE leased AND free_ms > p_now AND worker = ANY (v_number) AND id = ANY (ARRAY(
            SELECT id FROM emporium.deliveries
            WHERE leased AND free_ms > p_now AND worker = ANY (v_number)
            ORDER BY id FOR UPDATE
        ));
    END IF;
END $$;

-- Returns the topics with work, and when the next thing falls due: after what
-- workers that are gone held was freed, and after a clock that was set back was made
-- up for.
CREATE FUNCTION emporium_2.due_topics(OUT topics text[], OUT next_in bigint)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    v_now bigint := emporium.now_ms();
    v_seen bigint;
BEGIN
    PERFORM emporium_2.check_isolation();
    PERFORM emporium_2.forget_workers(ARRAY(
        SELECT number FROM emporium.workers WHERE until_ms <= v_now
    ), v_now, v_now);
    SELECT seen_ms INTO v_seen FROM emporium.schema;
    IF v_now < v_seen - 1000 THEN
        -- Whoever takes the row makes up for it.
        UPDATE emporium.schema SET seen_ms = v_now WHERE seen_ms = v_seen;
        IF FOUND THEN
            PERFORM emporium_2.set_back(v_seen, v_now);
        END IF;
    ELSIF v_now > v_seen + 500 THEN
        UPDATE emporium.schema SET seen_ms = v_now WHERE seen_ms = v_seen;
    END IF;
    WITH marked AS MATERIALIZED (
        SELECT s.id, s.topic, s.paused_since_ms, s.paused_until_ms,
            coalesce((
                SELECT m.low FROM emporium.low_marks AS m WHERE m.subscription = s.id
            ), s.id::bigint << 44) AS low
        FROM emporium.subscriptions AS s
    ), due AS MATERIALIZED (
        SELECT s.topic,
            CASE
                WHEN s.paused_since_ms IS NOT NULL AND s.paused_until_ms IS NULL THEN NULL
                WHEN s.paused_until_ms > v_now THEN s.paused_until_ms
                WHEN coalesce((
                    SELECT true FROM emporium.deliveries AS d
                    WHERE d.late AND d.id > s.id::bigint << 44 AND d.id <= s.low
                        AND d.free_ms <= v_now
                    LIMIT 1
                ), (
                    SELECT true FROM emporium.deliveries AS d
                    WHERE d.id > s.low AND d.id < (s.id + 1)::bigint << 44
                        AND d.free_ms <= v_now
                    LIMIT 1
                ), false) THEN v_now
                ELSE least((
                    SELECT d.due_ms FROM emporium.delayed AS d
                    WHERE d.subscription = s.id ORDER BY d.due_ms LIMIT 1
                ), (
                    SELECT min(f.free_ms) FROM (
                        SELECT d.free_ms FROM emporium.deliveries AS d
                        WHERE d.late AND d.id > s.id::bigint << 44 AND d.id <= s.low
                        ORDER BY d.id LIMIT 500
                    ) AS f
                ), (
                    SELECT min(f.free_ms) FROM (
                        SELECT d.free_ms FROM emporium.deliveries AS d
                        WHERE d.id > s.low AND d.id < (s.id + 1)::bigint << 44
                        ORDER BY d.id LIMIT 500
                    ) AS f
                ))
            END AS at
        FROM marked AS s
        UNION ALL
        SELECT t.id, v_now FROM emporium.topics AS t
        WHERE NOT EXISTS (SELECT 1 FROM emporium.subscriptions AS s WHERE s.topic = t.id)
            AND (SELECT true FROM emporium.events AS e WHERE e.topic = t.id LIMIT 1)
    )
    SELECT
        ARRAY(
            SELECT t.name FROM emporium.topics AS t
            WHERE t.id IN (SELECT d.topic FROM due AS d WHERE d.at <= v_now) ORDER BY t.name
        ),
        (SELECT min(d.at) - v_now FROM due AS d WHERE d.at > v_now)
    INTO topics, next_in;
END $$;

-- Make up for a clock that was set back: what was due stays due.
CREATE FUNCTION emporium_2.set_back(p_seen bigint, p_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM emporium.deliveries
    WHERE (leased AND free_ms > p_now) OR owed_ms > p_now ORDER BY id FOR UPDATE;
    UPDATE emporium.deliveries SET free_ms = free_ms - (p_seen - p_now)
    WHERE leased AND free_ms > p_now;
    UPDATE emporium.deliveries SET owed_ms = least(owed_ms, p_now) WHERE owed_ms > p_now;
    UPDATE emporium.workers SET until_ms = until_ms - (p_seen - p_now), seen_ms = p_now;
    PERFORM 1 FROM emporium.subscriptions WHERE paused_until_ms > p_now ORDER BY id FOR UPDATE;
    UPDATE emporium.subscriptions SET paused_until_ms = paused_until_ms - (p_seen - p_now)
    WHERE paused_until_ms > p_now;
    PERFORM 1 FROM emporium.delayed WHERE due_ms > p_now ORDER BY id FOR UPDATE;
    UPDATE emporium.delayed SET due_ms = due_ms - (p_seen - p_now)
    WHERE due_ms > p_now AND (attempt > 0 OR due_ms <= p_seen);
    -- Under their keys: whoever passes a key on must not miss them.
    PERFORM emporium_2.lock_lanes(array_agg(w.subscription), array_agg(w.subject))
    FROM emporium.waiting AS w WHERE w.due_ms > p_now AND w.due_ms <= p_seen;
    UPDATE emporium.waiting SET due_ms = p_now WHERE due_ms > p_now AND due_ms <= p_seen;
END $$;

-- Remove what has been kept long enough. Events are looked at a bounded number at a
-- time, in the order of their age, from where the latest sweep ended: those that are
-- still owed may be many. `more` says that there are others to look at.
CREATE FUNCTION emporium_2.sweep(
    p_events bigint, p_blobs bigint, p_removals bigint, p_units bigint,
    OUT more boolean, OUT events bigint, OUT deliveries bigint, OUT blobs bigint,
    OUT removals bigint, OUT units bigint
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_now bigint := emporium.now_ms();
    v_from bigint;
    v_seen bigint;
    v_last bigint;
    v_topic int[];
    v_old bigint[];
    v_forgotten int;
    v_blobs bigint[];
BEGIN
    PERFORM emporium_2.check_isolation();
    PERFORM set_config('synchronous_commit', 'off', true);
    more := false;
    -- One at a time looks at events.
    SELECT swept_to INTO v_from FROM emporium.schema;
    events := 0;
    SELECT count(*), max(e.sequence), array_agg(DISTINCT e.topic) FILTER (WHERE e.published_ms <= v_now - p_events),
        array_agg(e.sequence) FILTER (WHERE e.published_ms <= v_now - p_events)
    INTO v_seen, v_last, v_topic, v_old
    FROM (
        SELECT e.sequence, e.topic, e.published_ms FROM emporium.events AS e
        WHERE e.sequence > v_from ORDER BY e.sequence LIMIT 1000
    ) AS e;
    IF v_old IS NOT NULL THEN
        -- Against `subscribe`, which would owe them to somebody. A topic that is busy
        -- with that is for the next sweep.
        v_topic := ARRAY(
            SELECT t.id FROM unnest(v_topic) AS t (id)
            WHERE pg_try_advisory_xact_lock_shared(1701667184, t.id)
        );
        WITH swept AS (
            DELETE FROM emporium.events WHERE sequence = ANY (ARRAY(
                SELECT e.sequence FROM emporium.events AS e
                WHERE e.sequence = ANY (v_old) AND e.topic = ANY (v_topic)
                    AND NOT EXISTS (
                        SELECT FROM emporium.subscriptions AS s
                        WHERE s.topic = e.topic
                            AND emporium_2.is_owed(s.id, e.sequence, e.subject)
                    )
                ORDER BY e.sequence FOR UPDATE SKIP LOCKED
            )) RETURNING 1
        )
        SELECT count(*) INTO events FROM swept;
    END IF;
    -- Events are stored in the order of their age, as long as nobody sets the clock:
    -- behind many that are young, all are.
    more := v_seen = 1000 AND v_old IS NOT NULL;
    v_last := CASE WHEN more THEN v_last ELSE 0 END;

    SELECT subscription INTO v_forgotten FROM emporium.forgotten
    ORDER BY subscription LIMIT 1 FOR UPDATE SKIP LOCKED;
    deliveries := 0;
    IF v_forgotten IS NOT NULL THEN
        deliveries := emporium_2.sweep_forgotten(v_forgotten);
        more := true;
    END IF;

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
    more := more OR blobs = 50 OR removals = 1000 OR units = 1000;
    -- Last, because who looks for what is due writes to the same row.
    UPDATE emporium.schema SET swept_to = v_last WHERE swept_to = v_from AND swept_to <> v_last;
END $$;

-- Remove a part of what a forgotten subscription was owed. Returns how much.
CREATE FUNCTION emporium_2.sweep_forgotten(p_subscription int) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_from bigint := p_subscription::bigint << 44;
    v_until bigint := (p_subscription + 1)::bigint << 44;
    v_most CONSTANT int := 5000;
    v_rows bigint;
    v_count bigint := 0;
BEGIN
    DELETE FROM emporium.deliveries WHERE id = ANY (ARRAY(
        SELECT id FROM emporium.deliveries WHERE id > v_from AND id < v_until
        ORDER BY id LIMIT v_most FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_count := v_count + v_rows;
    DELETE FROM emporium.delayed WHERE id = ANY (ARRAY(
        SELECT id FROM emporium.delayed WHERE subscription = p_subscription
        ORDER BY due_ms LIMIT v_most FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_count := v_count + v_rows;
    DELETE FROM emporium.dead WHERE id = ANY (ARRAY(
        SELECT id FROM emporium.dead WHERE id > v_from AND id < v_until
        ORDER BY id LIMIT v_most FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_count := v_count + v_rows;
    DELETE FROM emporium.waiting WHERE subscription = p_subscription
        AND (subject, id) IN (
            SELECT subject, id FROM emporium.waiting WHERE subscription = p_subscription
            ORDER BY subject, id LIMIT v_most FOR UPDATE SKIP LOCKED
        );
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_count := v_count + v_rows;
    -- Somebody may be moving some of it from one table to another: then it can still
    -- be seen where it was.
    IF v_count = 0
        AND NOT EXISTS (SELECT FROM emporium.deliveries WHERE id > v_from AND id < v_until)
        AND NOT EXISTS (SELECT FROM emporium.delayed WHERE subscription = p_subscription)
        AND NOT EXISTS (SELECT FROM emporium.dead WHERE id > v_from AND id < v_until)
        AND NOT EXISTS (SELECT FROM emporium.waiting WHERE subscription = p_subscription)
    THEN
        DELETE FROM emporium.lanes WHERE subscription = p_subscription;
        DELETE FROM emporium.tallies WHERE subscription = p_subscription;
        DELETE FROM emporium.low_marks WHERE subscription = p_subscription;
        DELETE FROM emporium.forgotten WHERE subscription = p_subscription;
    END IF;
    RETURN v_count;
END $$;

-- Whether a subscription still has to do with an event.
CREATE FUNCTION emporium_2.is_owed(p_subscription int, p_sequence bigint, p_subject text)
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
