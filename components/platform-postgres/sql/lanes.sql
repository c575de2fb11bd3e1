-- Ordering keys: who may be handled, who waits, who comes next.
--
-- Statements here, and in what follows, are written so that the statistics of a
-- table cannot mislead the planner: these tables are empty at one moment and
-- full at the next. A table is entered by `= ANY`, by its place (`ctid`, once
-- locked), or from a `LATERAL` subquery that cannot be turned round.
--
-- Functions that only others here call have no settings of their own: they run
-- under those of the caller, and to set them costs as much as a small statement.
--
-- A lane is locked before anybody looks at who waits in it, always in the order
-- of the primary key, and each look is a statement of its own: it sees what was
-- committed while the lock was waited for.

-- Owe deliveries: each becomes one that can be claimed, or a delayed one, or
-- waits for an earlier one with its key.
CREATE FUNCTION emporium_1.enter(
    p_id bigint[], p_subject text[], p_due bigint[], p_owed bigint[],
    p_attempt int[], p_forgiven int[], p_now bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_won tid[];
    v_keyed bigint;
    v_first boolean;
    v_one record;
BEGIN
    SELECT count(subject) INTO v_keyed FROM unnest(p_subject) AS subject;
    IF v_keyed > 0 THEN
        -- Most of the time every lane is free, and nobody enters one twice.
        WITH won AS (
            INSERT INTO emporium.lanes (subscription, subject)
            SELECT DISTINCT (e.id >> 44)::int, e.subject
            FROM unnest(p_id, p_subject) AS e (id, subject) WHERE e.subject IS NOT NULL
            ORDER BY 1, 2
            ON CONFLICT DO NOTHING
            RETURNING ctid
        )
        SELECT array_agg(ctid) INTO v_won FROM won;
        IF coalesce(cardinality(v_won), 0) < v_keyed THEN
            DELETE FROM emporium.lanes WHERE ctid = ANY (v_won);
            FOR v_one IN
                SELECT (id >> 44)::int AS subscription, u.*
                FROM unnest(p_id, p_subject, p_due, p_owed, p_attempt, p_forgiven)
                    AS u (id, subject, due, owed, attempt, forgiven)
                ORDER BY 1, u.subject, u.id
            LOOP
                v_first := v_one.subject IS NULL;
                WHILE NOT v_first LOOP
                    INSERT INTO emporium.lanes VALUES (v_one.subscription, v_one.subject)
                    ON CONFLICT DO NOTHING;
                    v_first := FOUND;
                    EXIT WHEN v_first;
                    -- A lane that has ended meanwhile can be taken after all.
                    PERFORM 1 FROM emporium.lanes
                    WHERE subscription = v_one.subscription AND subject = v_one.subject FOR UPDATE;
                    CONTINUE WHEN NOT FOUND;
                    -- What is due stays due when its turn comes, wherever the
                    -- clock has been set by then.
                    INSERT INTO emporium.waiting
                        (id, subscription, subject, due_ms, attempt, forgiven, owed_ms)
                    VALUES (v_one.id, v_one.subscription, v_one.subject,
                        CASE WHEN v_one.due <= p_now THEN 0 ELSE v_one.due END,
                        v_one.attempt, v_one.forgiven, v_one.owed);
                    EXIT;
                END LOOP;
                IF v_first AND v_one.due <= p_now THEN
                    INSERT INTO emporium.deliveries (id, attempt, forgiven, owed_ms, subject)
                    VALUES (v_one.id, v_one.attempt, v_one.forgiven, v_one.owed, v_one.subject);
                ELSIF v_first THEN
                    INSERT INTO emporium.delayed
                        (id, subscription, due_ms, attempt, forgiven, owed_ms, subject)
                    VALUES (v_one.id, v_one.subscription, v_one.due, v_one.attempt, v_one.forgiven, v_one.owed, v_one.subject);
                END IF;
            END LOOP;
            RETURN;
        END IF;
    END IF;

    INSERT INTO emporium.deliveries (id, attempt, forgiven, owed_ms, subject)
    SELECT id, attempt, forgiven, owed, subject
    FROM unnest(p_id, p_subject, p_due, p_owed, p_attempt, p_forgiven)
        AS e (id, subject, due, owed, attempt, forgiven)
    WHERE due <= p_now;
    IF p_now < ANY (p_due) THEN
        INSERT INTO emporium.delayed
            (id, subscription, due_ms, attempt, forgiven, owed_ms, subject)
        SELECT id, id >> 44, due, attempt, forgiven, owed, subject
        FROM unnest(p_id, p_subject, p_due, p_owed, p_attempt, p_forgiven)
            AS e (id, subject, due, owed, attempt, forgiven)
        WHERE due > p_now;
    END IF;
END $$;

-- Give lanes up: the first that waits in each comes next, and where nobody waits
-- the lane ends.
CREATE FUNCTION emporium_1.leave(
    p_subscription int[], p_subject text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint;
    v_lane tid[];
    v_subscription int[];
    v_subject text[];
    v_next bigint[];
    v_one emporium.waiting;
BEGIN
    SELECT array_agg(l.lane), array_agg(f.subscription), array_agg(f.subject)
    INTO v_lane, v_subscription, v_subject
    FROM (
        SELECT subscription, subject FROM unnest(p_subscription, p_subject)
            AS f (subscription, subject)
        ORDER BY subscription, subject
    ) AS f
    CROSS JOIN LATERAL (
        SELECT l.ctid AS lane FROM emporium.lanes AS l
        WHERE l.subscription = f.subscription AND l.subject = f.subject FOR UPDATE
    ) AS l;
    v_now := emporium.now_ms();
    v_next := ARRAY(
        SELECT (
            SELECT w.id FROM emporium.waiting AS w
            WHERE w.subscription = f.subscription AND w.subject = f.subject
            ORDER BY w.id LIMIT 1
        )
        FROM unnest(v_subscription, v_subject) WITH ORDINALITY AS f (subscription, subject, n)
        ORDER BY f.n
    );
    DELETE FROM emporium.lanes WHERE ctid = ANY (ARRAY(
        SELECT f.lane FROM unnest(v_lane, v_next) AS f (lane, next) WHERE f.next IS NULL
    ));
    FOR i IN 1 .. cardinality(v_next) LOOP
        CONTINUE WHEN v_next[i] IS NULL;
        DELETE FROM emporium.waiting
        WHERE subscription = v_subscription[i] AND subject = v_subject[i] AND id = v_next[i]
        RETURNING * INTO v_one;
        IF v_one.due_ms <= v_now THEN
            INSERT INTO emporium.deliveries (id, attempt, forgiven, owed_ms, subject)
            VALUES (v_one.id, v_one.attempt, v_one.forgiven, v_one.owed_ms, v_one.subject);
        ELSE
            INSERT INTO emporium.delayed
                (id, subscription, due_ms, attempt, forgiven, owed_ms, subject)
            VALUES (v_one.id, v_one.subscription, v_one.due_ms, v_one.attempt, v_one.forgiven,
                v_one.owed_ms, v_one.subject);
        END IF;
    END LOOP;
END $$;

-- Make leased or run-out deliveries dead letters, and pause subscriptions in
-- which too many died in a row. The caller has locked them.
CREATE FUNCTION emporium_1.die(
    p_id bigint[], p_reason text[], p_now bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_subscription int[];
    v_subject text[];
BEGIN
    WITH dying AS (
        DELETE FROM emporium.deliveries WHERE id = ANY (p_id)
        RETURNING id, attempt, forgiven, subject
    ), died AS (
        INSERT INTO emporium.dead (id, died_ms, reason, attempt, forgiven, subject, blocking)
        SELECT d.id, p_now, p.reason, d.attempt, d.forgiven, d.subject,
            s.blocks AND d.subject IS NOT NULL
        FROM dying AS d
        JOIN unnest(p_id, p_reason) AS p (id, reason) ON p.id = d.id
        JOIN emporium.subscriptions AS s ON s.id = (d.id >> 44)::int
        RETURNING id, subject, blocking
    )
    SELECT array_agg((id >> 44)::int), array_agg(subject)
    INTO v_subscription, v_subject
    FROM died WHERE subject IS NOT NULL AND NOT blocking;
    IF v_subject IS NOT NULL THEN
        PERFORM emporium_1.leave(v_subscription, v_subject);
    END IF;

    UPDATE emporium.subscriptions AS s
    SET streak = d.deaths + CASE
            WHEN s.streak_moment < ALL (
                SELECT coalesce(max(t.settled_moment), 0) FROM emporium.tallies AS t
                WHERE t.subscription = s.id
            ) THEN 0 ELSE s.streak END,
        streak_moment = nextval('emporium.moments')
    FROM (
        SELECT (id >> 44)::int AS subscription, count(*) AS deaths
        FROM unnest(p_id) AS id GROUP BY 1
    ) AS d
    WHERE s.id = d.subscription;

    UPDATE emporium.subscriptions AS s
    SET paused_since_ms = p_now, paused_until_ms = least(p_now::numeric + pause_ms, 9e18)::bigint,
        pause_reason = streak || ' deaths in a row'
    WHERE s.id IN (SELECT (d.id >> 44)::int FROM unnest(p_id) AS d (id))
        AND pause_after > 0 AND streak >= pause_after
        AND (paused_since_ms IS NULL OR paused_until_ms <= p_now);
END $$;

-- Count what was settled, and how long it took.
CREATE FUNCTION emporium_1.count_settled(
    p_id bigint[], p_owed bigint[], p_now bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO emporium.tallies AS t
        (subscription, part, settled, settled_moment, retried, latency, latency_sum_ms)
    WITH counted AS (
        SELECT (s.id >> 44)::int AS subscription,
            width_bucket(p_now - s.owed - 1, ARRAY[
                1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 60000, 600000
            ]::bigint[]) AS bucket,
            count(*)::bigint AS settled, sum(greatest(p_now - s.owed, 0))::bigint AS latency
        FROM unnest(p_id, p_owed) AS s (id, owed) GROUP BY 1, 2
    )
    SELECT s.subscription, pg_backend_pid() % 64, sum(c.settled), nextval('emporium.moments'), 0,
        array_agg(coalesce(c.settled, 0) ORDER BY b.bucket), sum(c.latency)
    FROM (SELECT DISTINCT subscription FROM counted) AS s
    CROSS JOIN generate_series(0, 15) AS b (bucket)
    LEFT JOIN counted AS c ON c.subscription = s.subscription AND c.bucket = b.bucket
    GROUP BY s.subscription ORDER BY s.subscription
    ON CONFLICT (subscription, part) DO UPDATE SET
        settled = t.settled + excluded.settled,
        settled_moment = excluded.settled_moment,
        latency = ARRAY(SELECT a + b FROM unnest(t.latency, excluded.latency) AS s (a, b)),
        latency_sum_ms = t.latency_sum_ms + excluded.latency_sum_ms;
END $$;

-- Count failed attempts that are followed by another.
CREATE FUNCTION emporium_1.count_retried(p_id bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO emporium.tallies AS t
        (subscription, part, settled, settled_moment, retried, latency, latency_sum_ms)
    SELECT (id >> 44)::int, pg_backend_pid() % 64, 0, 0, count(*), array_fill(0::bigint, ARRAY[16]), 0
    FROM unnest(p_id) AS id GROUP BY 1 ORDER BY 1
    ON CONFLICT (subscription, part) DO UPDATE SET retried = t.retried + excluded.retried
$$;
