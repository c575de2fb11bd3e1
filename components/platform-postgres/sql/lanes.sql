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
-- Locks are taken in one order everywhere, so that no two transactions wait for
-- each other: ids of units, documents, blobs, deliveries, topics (advisory),
-- subscriptions, dead letters, delayed deliveries, ordering keys, ids of events,
-- tallies; within each kind in the order of the primary key, and the ordering keys of
-- a transaction in one statement. After that a transaction waits for nothing but
-- insertions in sorted order.

-- Lock ordering keys, and take those that are free. Returns the latter. Who waits
-- for a key may only be looked at in a later statement: it sees what was committed
-- while the lock was waited for.
CREATE FUNCTION emporium_2.lock_lanes(
    p_subscription int[], p_subject text[], OUT taken_subscription int[], OUT taken_subject text[]
) LANGUAGE plpgsql AS $$
BEGIN
    -- `WHERE false` locks a row that is there without writing it.
    WITH taken AS (
        INSERT INTO emporium.lanes AS l (subscription, subject)
        SELECT DISTINCT subscription, subject
        FROM unnest(p_subscription, p_subject) AS k (subscription, subject)
        WHERE subject IS NOT NULL
        ORDER BY 1, 2
        ON CONFLICT (subscription, subject) DO UPDATE SET subject = l.subject WHERE false
        RETURNING subscription, subject
    )
    SELECT array_agg(subscription), array_agg(subject) INTO taken_subscription, taken_subject
    FROM taken;
END $$;

-- Owe deliveries: each becomes one that can be claimed, or a delayed one, or
-- waits for an earlier one with its key. The caller has locked their keys, and
-- says which of them it took. Returns those that can be claimed.
CREATE FUNCTION emporium_2.enter(
    p_id bigint[], p_subject text[], p_due bigint[], p_owed bigint[],
    p_attempt int[], p_forgiven int[], p_late boolean,
    p_taken_subscription int[], p_taken_subject text[], p_now bigint
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    v_first boolean[];
    v_ready bigint[];
BEGIN
    -- Only the first one of a key that was taken goes before the others.
    IF cardinality(array_remove(p_subject, NULL)) > 0 THEN
        v_first := ARRAY(
            SELECT e.subject IS NULL OR (
                row_number() OVER (PARTITION BY e.id >> 44, e.subject ORDER BY e.id) = 1
                AND ((e.id >> 44)::int, e.subject) IN (
                    SELECT * FROM unnest(p_taken_subscription, p_taken_subject)
                )
            )
            FROM unnest(p_id, p_subject) WITH ORDINALITY AS e (id, subject, n) ORDER BY e.n
        );
        -- What is due stays due when its turn comes, wherever the clock has been
        -- set by then.
        INSERT INTO emporium.waiting
            (id, subscription, subject, due_ms, attempt, forgiven, owed_ms)
        SELECT e.id, (e.id >> 44)::int, e.subject,
            CASE WHEN e.due <= p_now THEN 0 ELSE e.due END, e.attempt, e.forgiven, e.owed
        FROM unnest(p_id, p_subject, p_due, p_owed, p_attempt, p_forgiven, v_first)
            AS e (id, subject, due, owed, attempt, forgiven, is_first)
        WHERE NOT e.is_first;
    END IF;
    WITH ready AS (
        INSERT INTO emporium.deliveries (id, attempt, forgiven, owed_ms, subject, late)
        SELECT e.id, e.attempt, e.forgiven, e.owed, e.subject, p_late
        FROM unnest(p_id, p_subject, p_due, p_owed, p_attempt, p_forgiven, v_first)
            AS e (id, subject, due, owed, attempt, forgiven, is_first)
        WHERE e.due <= p_now AND e.is_first IS NOT FALSE
        RETURNING id
    )
    SELECT array_agg(id) INTO v_ready FROM ready;
    IF p_now < ANY (p_due) THEN
        INSERT INTO emporium.delayed
            (id, subscription, due_ms, attempt, forgiven, owed_ms, subject)
        SELECT e.id, e.id >> 44, e.due, e.attempt, e.forgiven, e.owed, e.subject
        FROM unnest(p_id, p_subject, p_due, p_owed, p_attempt, p_forgiven, v_first)
            AS e (id, subject, due, owed, attempt, forgiven, is_first)
        WHERE e.due > p_now AND e.is_first IS NOT FALSE;
    END IF;
    RETURN v_ready;
END $$;

-- Give ordering keys up: the first delivery that waits for each comes next, and
-- where none waits the key is free. The caller has locked the keys. `p_single`
-- is until which event the deliveries of a key are handed out one at a time.
CREATE FUNCTION emporium_2.leave(
    p_subscription int[], p_subject text[], p_single bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := emporium.now_ms();
    v_next bigint[];
    v_one emporium.waiting;
    v_single bigint;
BEGIN
    v_next := ARRAY(
        SELECT (
            SELECT w.id FROM emporium.waiting AS w
            WHERE w.subscription = f.subscription AND w.subject = f.subject
            ORDER BY w.id LIMIT 1
        )
        FROM unnest(p_subscription, p_subject) WITH ORDINALITY AS f (subscription, subject, n)
        ORDER BY f.n
    );
    FOR i IN 1 .. cardinality(v_next) LOOP
        IF v_next[i] IS NULL THEN
            DELETE FROM emporium.lanes
            WHERE subscription = p_subscription[i] AND subject = p_subject[i];
            CONTINUE;
        END IF;
        DELETE FROM emporium.waiting
        WHERE subscription = p_subscription[i] AND subject = p_subject[i] AND id = v_next[i]
        RETURNING * INTO v_one;
        v_single := CASE WHEN v_one.id <= p_single[i] THEN p_single[i] END;
        IF v_one.due_ms <= v_now THEN
            INSERT INTO emporium.deliveries
                (id, attempt, forgiven, owed_ms, subject, late, single_until)
            VALUES (v_one.id, v_one.attempt, v_one.forgiven, v_one.owed_ms, v_one.subject, true,
                v_single);
        ELSE
            INSERT INTO emporium.delayed (id, subscription, due_ms, attempt, forgiven, owed_ms,
                subject, single_until)
            VALUES (v_one.id, v_one.subscription, v_one.due_ms, v_one.attempt, v_one.forgiven,
                v_one.owed_ms, v_one.subject, v_single);
        END IF;
    END LOOP;
END $$;

-- Make leased or run-out deliveries dead letters. The caller has locked them.
-- `p_counts` says whether they used up their attempts, which may pause their
-- subscriptions.
CREATE FUNCTION emporium_2.die(
    p_id bigint[], p_reason text[], p_now bigint, p_counts boolean
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_subscription int[];
    v_subject text[];
    v_single bigint[];
    v_half CONSTANT bigint := p_now / 30000;
    v_one record;
BEGIN
    -- A policy that is being changed is waited for: those whose deaths block are
    -- found by it, or go by the new policy.
    PERFORM 1 FROM emporium.subscriptions
    WHERE id = ANY (ARRAY(SELECT DISTINCT (d.id >> 44)::int FROM unnest(p_id) AS d (id)))
    ORDER BY id FOR UPDATE;
    WITH dying AS (
        DELETE FROM emporium.deliveries WHERE id = ANY (p_id)
        RETURNING id, attempt, forgiven, subject, single_until AS single
    ), died AS (
        INSERT INTO emporium.dead
            (id, died_ms, reason, attempt, forgiven, subject, blocking, single_until)
        SELECT d.id, p_now, p.reason, d.attempt, d.forgiven, d.subject,
            s.blocks AND d.subject IS NOT NULL, d.single
        FROM dying AS d
        JOIN unnest(p_id, p_reason) AS p (id, reason) ON p.id = d.id
        JOIN emporium.subscriptions AS s ON s.id = (d.id >> 44)::int
        RETURNING id, subject, blocking
    )
    SELECT array_agg((d.id >> 44)::int), array_agg(d.subject), array_agg(d.single)
    INTO v_subscription, v_subject, v_single
    FROM died JOIN dying AS d ON d.id = died.id
    WHERE died.subject IS NOT NULL AND NOT died.blocking;
    IF v_subject IS NOT NULL THEN
        PERFORM emporium_2.lock_lanes(v_subscription, v_subject);
        PERFORM emporium_2.leave(v_subscription, v_subject, v_single);
    END IF;
    IF NOT p_counts THEN
        RETURN;
    END IF;

    FOR v_one IN
        SELECT s.id, d.deaths, t.settled, t.lately
        FROM (
            SELECT (d.id >> 44)::int AS subscription, count(*) AS deaths
            FROM unnest(p_id) AS d (id) GROUP BY 1
        ) AS d
        CROSS JOIN LATERAL (
            SELECT s.id FROM emporium.subscriptions AS s WHERE s.id = d.subscription OFFSET 0
        ) AS s
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(t.settled), 0)::bigint AS settled, coalesce(sum(
                CASE
                    WHEN t.half_minute >= v_half THEN t.settled_lately + t.settled_before
                    WHEN t.half_minute = v_half - 1 THEN t.settled_lately
                    ELSE 0
                END
            ), 0)::bigint AS lately
            FROM emporium.tallies AS t WHERE t.subscription = d.subscription OFFSET 0
        ) AS t
    LOOP
        UPDATE emporium.subscriptions
        SET half_minute = greatest(half_minute, v_half),
            deaths = CASE WHEN half_minute >= v_half THEN deaths ELSE 0 END + v_one.deaths,
            deaths_before = CASE
                WHEN half_minute >= v_half THEN deaths_before
                WHEN half_minute = v_half - 1 THEN deaths
                ELSE 0
            END,
            half_open = half_open AND settled_at_pause = v_one.settled
        WHERE id = v_one.id;
        UPDATE emporium.subscriptions
        SET paused_since_ms = p_now,
            paused_until_ms = least(p_now::numeric + pause_ms, 9e18)::bigint,
            pause_reason = deaths + deaths_before || ' deliveries used up their attempts while '
                || v_one.lately || ' were settled',
            half_open = true, settled_at_pause = v_one.settled, deaths = 0, deaths_before = 0
        WHERE id = v_one.id AND pause_after > 0
            AND (half_open OR (deaths + deaths_before >= pause_after
                AND deaths + deaths_before >= v_one.lately))
            AND (paused_since_ms IS NULL OR paused_until_ms <= p_now);
    END LOOP;
END $$;

-- Count what was settled, and how long it took.
CREATE FUNCTION emporium_2.count_settled(
    p_id bigint[], p_owed bigint[], p_now bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO emporium.tallies AS t
        (subscription, part, settled, retried, latency, latency_sum_ms, longest_ms, half_minute,
        settled_lately)
    WITH counted AS (
        SELECT (s.id >> 44)::int AS subscription,
            width_bucket(p_now - s.owed - 1, ARRAY[
                1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000,
                100000, 200000, 600000
            ]::bigint[]) AS bucket,
            count(*)::bigint AS settled, sum(greatest(p_now - s.owed, 0))::bigint AS latency,
            max(p_now - s.owed) AS longest
        FROM unnest(p_id, p_owed) AS s (id, owed) GROUP BY 1, 2
    )
    SELECT s.subscription, pg_backend_pid() % 64, sum(c.settled), 0,
        array_agg(coalesce(c.settled, 0) ORDER BY b.bucket), sum(c.latency),
        greatest(max(c.longest), 0), p_now / 30000, sum(c.settled)
    FROM (SELECT DISTINCT subscription FROM counted) AS s
    CROSS JOIN generate_series(0, 18) AS b (bucket)
    LEFT JOIN counted AS c ON c.subscription = s.subscription AND c.bucket = b.bucket
    GROUP BY s.subscription ORDER BY s.subscription
    ON CONFLICT (subscription, part) DO UPDATE SET
        settled = t.settled + excluded.settled,
        latency = ARRAY(SELECT a + b FROM unnest(t.latency, excluded.latency) AS s (a, b)),
        latency_sum_ms = t.latency_sum_ms + excluded.latency_sum_ms,
        longest_ms = greatest(t.longest_ms, excluded.longest_ms),
        half_minute = greatest(t.half_minute, excluded.half_minute),
        settled_lately = excluded.settled_lately
            + CASE WHEN t.half_minute >= excluded.half_minute THEN t.settled_lately ELSE 0 END,
        settled_before = CASE
            WHEN t.half_minute >= excluded.half_minute THEN t.settled_before
            WHEN t.half_minute = excluded.half_minute - 1 THEN t.settled_lately
            ELSE 0
        END;
END $$;

-- Count failed attempts that are followed by another.
CREATE FUNCTION emporium_2.count_retried(p_id bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO emporium.tallies AS t
        (subscription, part, settled, retried, latency, latency_sum_ms)
    SELECT (id >> 44)::int, pg_backend_pid() % 64, 0, count(*), array_fill(0::bigint, ARRAY[19]), 0
    FROM unnest(p_id) AS id GROUP BY 1 ORDER BY 1
    ON CONFLICT (subscription, part) DO UPDATE SET retried = t.retried + excluded.retried
$$;

-- Every statement has to see what was committed before it: in another isolation
-- level what is checked under a lock would be older than the lock. The adapter
-- answers this error by setting the level of its session.
CREATE FUNCTION emporium_2.check_isolation() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the platform needs the isolation level read committed'
            USING ERRCODE = 'EM003';
    END IF;
END $$;
