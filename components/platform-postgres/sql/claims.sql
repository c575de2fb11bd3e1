-- Claims, and what a consumer says about what it claimed.

-- Create a subscription that is owed every event there is. Returns its id.
CREATE FUNCTION emporium_1.subscribe(
    p_service text, p_topic text, p_max_attempts bigint, p_backoff_base bigint,
    p_backoff_cap bigint, p_blocks boolean, p_pause_after bigint, p_pause bigint
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_topic int;
    v_id int;
    v_now bigint;
BEGIN
    INSERT INTO emporium.topics (name) VALUES (p_topic) ON CONFLICT DO NOTHING;
    SELECT id INTO STRICT v_topic FROM emporium.topics WHERE name = p_topic;
    -- Whoever publishes on the topic shares this lock until the commit: an event
    -- is either seen here, or its publisher sees the subscription.
    PERFORM pg_advisory_xact_lock(1701667184, v_topic);
    INSERT INTO emporium.subscriptions (topic, service, max_attempts, backoff_base_ms,
        backoff_cap_ms, blocks, pause_after, pause_ms)
    VALUES (v_topic, p_service, p_max_attempts, p_backoff_base, p_backoff_cap, p_blocks,
        p_pause_after, p_pause)
    ON CONFLICT DO NOTHING RETURNING id INTO v_id;
    IF v_id IS NULL THEN
        SELECT id INTO STRICT v_id FROM emporium.subscriptions
        WHERE topic = v_topic AND service = p_service;
        RETURN v_id;
    END IF;

    -- Of the retained events with one key the first holds the lane.
    v_now := emporium.now_ms();
    INSERT INTO emporium.lanes (subscription, subject)
    SELECT DISTINCT v_id, subject FROM emporium.events
    WHERE topic = v_topic AND subject IS NOT NULL;
    WITH retained AS (
        SELECT (v_id::bigint << 44) | sequence AS id, subject,
            greatest(least(published_ms, v_now), not_before_ms) AS due,
            subject IS NULL
                OR row_number() OVER (PARTITION BY subject ORDER BY sequence) = 1 AS is_first
        FROM emporium.events WHERE topic = v_topic
    ), ready AS (
        INSERT INTO emporium.deliveries (id, owed_ms, subject)
        SELECT id, due, subject FROM retained WHERE is_first AND due <= v_now ORDER BY id
    ), delayed AS (
        INSERT INTO emporium.delayed
            (id, subscription, due_ms, attempt, forgiven, owed_ms, subject)
        SELECT id, v_id, due, 0, 0, due, subject FROM retained WHERE is_first AND due > v_now
    )
    INSERT INTO emporium.waiting
        (id, subscription, subject, due_ms, attempt, forgiven, owed_ms)
    SELECT id, v_id, subject, due, 0, 0, due FROM retained WHERE NOT is_first;
    RETURN v_id;
END $$;

-- Serve a subscription under another policy from now on. If it no longer blocks,
-- those that wait behind a dead delivery go on.
CREATE FUNCTION emporium_1.change_policy(
    p_id int, p_max_attempts bigint, p_backoff_base bigint, p_backoff_cap bigint,
    p_blocks boolean, p_pause_after bigint, p_pause bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_subject text[];
BEGIN
    UPDATE emporium.subscriptions
    SET max_attempts = p_max_attempts, backoff_base_ms = p_backoff_base,
        backoff_cap_ms = p_backoff_cap, blocks = p_blocks,
        pause_after = p_pause_after, pause_ms = p_pause
    WHERE id = p_id;
    IF NOT p_blocks THEN
        WITH unblocked AS (
            UPDATE emporium.dead SET blocking = false
            WHERE blocking AND (id >> 44)::int = p_id RETURNING subject
        )
        SELECT array_agg(subject) INTO v_subject FROM unblocked;
        IF v_subject IS NOT NULL THEN
            PERFORM emporium_1.leave(array_fill(p_id, ARRAY[cardinality(v_subject)]), v_subject);
        END IF;
    END IF;
END $$;

-- Lease up to `p_limit` deliveries. `p_after` is where the consumer's last claim
-- ended: those before it have been looked at, and what they left in the index
-- need not be walked over again until the end is reached. `p_claim` is what
-- `disown` knows this claim by.
CREATE FUNCTION emporium_1.claim(
    p_service text, p_topic text, p_max_attempts bigint, p_backoff_base bigint,
    p_backoff_cap bigint, p_blocks int, p_pause_after bigint, p_pause bigint,
    p_worker text, p_limit int, p_lease int, p_after bigint, p_claim int,
    OUT delivery bigint[], OUT attempt int[], OUT event_id text[], OUT kind text[],
    OUT subject text[], OUT envelope_bytes int[], OUT envelopes bytea, OUT suspect boolean,
    OUT next_due_in bigint
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_now bigint;
    v_subscription emporium.subscriptions;
    v_low bigint;
    v_high bigint;
    v_worker int;
    v_found bigint[];
    v_suspect boolean[];
    v_attempt int[];
    v_forgiven int[];
    v_subject text[];
    v_until bigint := -1;
    v_next bigint;
BEGIN
    suspect := false;
    SELECT s.* INTO v_subscription
    FROM emporium.topics AS t JOIN emporium.subscriptions AS s ON s.topic = t.id
    WHERE t.name = p_topic AND s.service = p_service;
    -- A claim binds guests that die with the machine: what a power failure takes
    -- back of it does no harm. A policy or a death must stay.
    IF NOT FOUND THEN
        v_subscription.id := emporium_1.subscribe(p_service, p_topic, p_max_attempts,
            p_backoff_base, p_backoff_cap, p_blocks <> 0, p_pause_after, p_pause);
    ELSIF (v_subscription.max_attempts, v_subscription.backoff_base_ms,
        v_subscription.backoff_cap_ms, v_subscription.blocks, v_subscription.pause_after,
        v_subscription.pause_ms) <> (p_max_attempts, p_backoff_base, p_backoff_cap,
        p_blocks <> 0, p_pause_after, p_pause)
    THEN
        PERFORM emporium_1.change_policy(v_subscription.id, p_max_attempts, p_backoff_base,
            p_backoff_cap, p_blocks <> 0, p_pause_after, p_pause);
    ELSE
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    v_now := emporium.now_ms();
    IF v_subscription.paused_since_ms IS NOT NULL
        AND (v_subscription.paused_until_ms IS NULL OR v_subscription.paused_until_ms > v_now)
    THEN
        next_due_in := v_subscription.paused_until_ms - v_now;
        RETURN;
    END IF;

    v_found := ARRAY(
        SELECT id FROM emporium.delayed
        WHERE subscription = v_subscription.id AND due_ms <= v_now
        ORDER BY due_ms LIMIT 1000 FOR UPDATE SKIP LOCKED
    );
    IF v_found <> '{}' THEN
        WITH due AS (
            DELETE FROM emporium.delayed WHERE id = ANY (v_found)
            RETURNING id, attempt, forgiven, owed_ms, subject
        )
        INSERT INTO emporium.deliveries (id, attempt, forgiven, owed_ms, subject)
        SELECT id, attempt, forgiven, owed_ms, subject FROM due;
    END IF;

    v_low := greatest(v_subscription.id::bigint << 44, p_after);
    v_high := (v_subscription.id + 1)::bigint << 44;
    -- A hundred deaths are enough for one claim.
    FOR round IN 1 .. 100 LOOP
        SELECT array_agg(f.id), array_agg(f.leased), array_agg(f.attempt),
            array_agg(f.forgiven), array_agg(f.subject)
        INTO v_found, v_suspect, v_attempt, v_forgiven, v_subject
        FROM (
            SELECT d.id, d.leased, d.attempt, d.forgiven, d.subject
            FROM emporium.deliveries AS d
            WHERE d.id > v_low AND d.id < v_high AND d.free_ms <= v_now
            ORDER BY d.id LIMIT p_limit FOR UPDATE SKIP LOCKED
        ) AS f;
        IF coalesce(cardinality(v_found), 0) < p_limit
            AND v_low > v_subscription.id::bigint << 44
        THEN
            -- The end: from the start again, for those that came late.
            v_low := v_subscription.id::bigint << 44;
            CONTINUE;
        END IF;
        EXIT WHEN v_found IS NULL OR NOT v_suspect[1];
        -- Its lease ran out: it may have killed its handler. It is handed out
        -- alone, or dies.
        IF v_attempt[1] - v_forgiven[1] < p_max_attempts THEN
            PERFORM emporium_1.count_retried(v_found[1:1]);
            v_found := v_found[1:1];
            v_suspect := '{false}';
            suspect := true;
            EXIT;
        END IF;
        PERFORM set_config('synchronous_commit', 'on', true);
        PERFORM emporium_1.die(v_found[1:1],
            ARRAY['the lease of attempt ' || v_attempt[1] || ' ran out'], v_now);
        v_found := NULL;
        SELECT s.paused_until_ms - v_now INTO next_due_in FROM emporium.subscriptions AS s
        WHERE s.id = v_subscription.id AND s.paused_until_ms > v_now;
        IF FOUND THEN
            RETURN;
        END IF;
    END LOOP;

    IF v_found IS NOT NULL THEN
        IF p_worker IS NOT NULL THEN
            SELECT w.number INTO v_worker FROM emporium.workers AS w WHERE w.id = p_worker;
            IF v_worker IS NULL THEN
                INSERT INTO emporium.workers AS w (id, since_ms, seen_ms)
                VALUES (p_worker, v_now, v_now)
                ON CONFLICT (id) DO UPDATE SET id = excluded.id
                RETURNING w.number INTO v_worker;
            END IF;
        END IF;
        v_until := v_now + p_lease;
        -- A suspect in the middle is passed over: its turn comes when it is
        -- first. What weighs too much together is left to the next claim: hosts
        -- limit what a statement may return.
        SELECT array_agg(f.id), array_agg(f.attempt + 1), array_agg(f.event_id),
            array_agg(f.kind), array_agg(f.subject), array_agg(octet_length(f.envelope)),
            string_agg(f.envelope, '')
        INTO delivery, attempt, event_id, kind, subject, envelope_bytes, envelopes
        FROM (
            SELECT f.id, f.attempt, f.subject, e.id AS event_id, e.kind, e.envelope,
                sum(octet_length(e.envelope)) OVER (ORDER BY f.n) AS bytes, f.n
            FROM unnest(v_found, v_suspect, v_attempt, v_subject) WITH ORDINALITY
                AS f (id, suspect, attempt, subject, n)
            CROSS JOIN LATERAL (
                SELECT e.id, e.kind, e.envelope FROM emporium.events AS e
                WHERE e.sequence = f.id & 17592186044415 OFFSET 0
            ) AS e
            WHERE NOT f.suspect
            ORDER BY f.n
        ) AS f
        WHERE f.bytes <= 16777216 OR f.n = 1;
        UPDATE emporium.deliveries
        SET leased = true, attempt = deliveries.attempt + 1, free_ms = v_until, worker = v_worker,
            claim = p_claim
        WHERE id = ANY (delivery);
    END IF;

    -- What else falls due, and when. Behind a full batch there is probably more.
    IF delivery IS NOT NULL THEN
        PERFORM 1 FROM emporium.deliveries AS d
        WHERE d.id > delivery[cardinality(delivery)] AND d.id < v_high AND d.free_ms <= v_now
        LIMIT 1;
        IF FOUND THEN
            next_due_in := 0;
            RETURN;
        END IF;
    END IF;
    SELECT min(f.free_ms) INTO v_next FROM (
        SELECT d.free_ms FROM emporium.deliveries AS d
        WHERE d.id > v_subscription.id::bigint << 44 AND d.id < v_high
            AND NOT (d.leased AND d.free_ms = v_until)
        ORDER BY d.id LIMIT 2000
    ) AS f;
    v_next := least(v_next, (
        SELECT d.due_ms FROM emporium.delayed AS d
        WHERE d.subscription = v_subscription.id ORDER BY d.due_ms LIMIT 1
    ));
    IF v_next IS NOT NULL THEN
        next_due_in := greatest(v_next - v_now, 0);
    END IF;
END $$;

-- Free what a claim leased whose reply was lost. Nobody has begun that attempt,
-- so that it does not count.
CREATE FUNCTION emporium_1.disown(p_service text, p_topic text, p_claim int) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_subscription bigint;
BEGIN
    SELECT s.id INTO v_subscription
    FROM emporium.topics AS t JOIN emporium.subscriptions AS s ON s.topic = t.id
    WHERE t.name = p_topic AND s.service = p_service;
    UPDATE emporium.deliveries
    SET leased = false, forgiven = forgiven + 1, free_ms = 0, worker = NULL, claim = NULL
    WHERE id > v_subscription << 44 AND id < (v_subscription + 1) << 44
        AND leased AND claim = p_claim;
END $$;

-- Start the time of leases anew. Returns which of them hold.
CREATE FUNCTION emporium_1.extend(
    p_id bigint[], p_attempt int[], p_lease int, OUT held int[]
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_until bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    -- Whoever has them may keep them for a while, which is not to count.
    PERFORM 1 FROM emporium.deliveries WHERE id = ANY (p_id) ORDER BY id FOR UPDATE;
    v_until := emporium.now_ms() + p_lease;
    WITH extended AS (
        UPDATE emporium.deliveries AS d SET free_ms = v_until
        WHERE d.id = ANY (p_id) AND d.leased
            AND ((d.id, d.attempt) IN (SELECT * FROM unnest(p_id, p_attempt))) IS TRUE
        RETURNING d.id, d.attempt
    )
    SELECT array_agg(l.n::int) INTO held
    FROM unnest(p_id, p_attempt) WITH ORDINALITY AS l (id, attempt, n)
    JOIN extended AS e ON e.id = l.id AND e.attempt = l.attempt;
END $$;

-- Hand deliveries back. `p_wait` is absent where the policy decides. Returns,
-- for each lease that held, its place, and when it is due again, or -1 if that
-- was its last attempt.
CREATE FUNCTION emporium_1.release(
    p_id bigint[], p_attempt int[], p_wait bigint[], p_reason text[],
    OUT held int[], OUT due_again bigint[]
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_id bigint[];
    v_reason text[];
BEGIN
    -- The time is that of each row when it is locked, not of this call.
    SELECT array_agg(l.n::int ORDER BY l.n), array_agg(d.id ORDER BY l.n),
        array_agg(CASE
            WHEN d.attempt - d.forgiven >= s.max_attempts THEN -1
            ELSE least(emporium.now_ms() + coalesce(l.wait, round(least(
                s.backoff_base_ms * power(2::float8, least(greatest(d.attempt - d.forgiven - 1, 0), 62)),
                s.backoff_cap_ms) * (0.75 + random() / 2))), 9e18)::bigint
        END ORDER BY l.n)
    INTO held, v_id, due_again
    FROM (
        -- Handed back twice, the first counts.
        SELECT DISTINCT ON (id, attempt) id, attempt, wait, n
        FROM unnest(p_id, p_attempt, p_wait) WITH ORDINALITY AS l (id, attempt, wait, n)
        ORDER BY id, attempt, n
    ) AS l
    CROSS JOIN LATERAL (
        SELECT d.id, d.attempt, d.forgiven FROM emporium.deliveries AS d
        WHERE d.id = l.id AND d.leased AND d.attempt = l.attempt FOR UPDATE
    ) AS d
    JOIN emporium.subscriptions AS s ON s.id = (d.id >> 44)::int;
    IF held IS NULL THEN
        RETURN;
    END IF;

    WITH returned AS (
        DELETE FROM emporium.deliveries WHERE id = ANY (ARRAY(
            SELECT r.id FROM unnest(v_id, due_again) AS r (id, due) WHERE r.due >= 0
        ))
        RETURNING id, attempt, forgiven, owed_ms, subject
    )
    INSERT INTO emporium.delayed
        (id, subscription, due_ms, attempt, forgiven, owed_ms, subject)
    SELECT d.id, d.id >> 44, r.due, d.attempt, d.forgiven, d.owed_ms, d.subject
    FROM returned AS d JOIN unnest(v_id, due_again) AS r (id, due) ON r.id = d.id;
    PERFORM emporium_1.count_retried(ARRAY(
        SELECT r.id FROM unnest(v_id, due_again) AS r (id, due) WHERE r.due >= 0
    ));

    SELECT array_agg(r.id), array_agg(p_reason[r.n]) INTO v_id, v_reason
    FROM unnest(v_id, due_again, held) AS r (id, due, n) WHERE r.due < 0;
    IF v_id IS NOT NULL THEN
        PERFORM emporium_1.die(v_id, v_reason, emporium.now_ms());
    END IF;
END $$;

-- Give deliveries up. Returns which of the leases held.
CREATE FUNCTION emporium_1.bury(
    p_id bigint[], p_attempt int[], p_reason text[], OUT held int[]
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_id bigint[];
    v_reason text[];
BEGIN
    SELECT array_agg(l.n::int), array_agg(d.id), array_agg(l.reason)
    INTO held, v_id, v_reason
    FROM (
        SELECT DISTINCT ON (id, attempt) id, attempt, reason, n
        FROM unnest(p_id, p_attempt, p_reason) WITH ORDINALITY AS l (id, attempt, reason, n)
        ORDER BY id, attempt, n
    ) AS l
    CROSS JOIN LATERAL (
        SELECT d.id FROM emporium.deliveries AS d
        WHERE d.id = l.id AND d.leased AND d.attempt = l.attempt FOR UPDATE
    ) AS d;
    IF held IS NOT NULL THEN
        PERFORM emporium_1.die(v_id, v_reason, emporium.now_ms());
    END IF;
END $$;
