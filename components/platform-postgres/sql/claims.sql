-- Claims, and what a consumer says about what it claimed.

-- Create a subscription that is owed every event there is. Returns its id.
CREATE FUNCTION emporium_2.subscribe(
    p_service text, p_topic text, p_max_attempts bigint, p_backoff_base bigint,
    p_backoff_cap bigint, p_retry_blocks boolean, p_blocks boolean, p_pause_after bigint,
    p_pause bigint
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_topic int;
    v_id int;
    v_now bigint;
BEGIN
    INSERT INTO emporium.topics (name) VALUES (p_topic) ON CONFLICT DO NOTHING;
    SELECT id INTO STRICT v_topic FROM emporium.topics WHERE name = p_topic;
    -- Publishers and sweeps of the topic share this lock until their commit: an
    -- event is either seen here, or its publisher sees the subscription; and none
    -- that is owed here is swept.
    PERFORM pg_advisory_xact_lock(1701667184, v_topic);
    INSERT INTO emporium.subscriptions (topic, service, max_attempts, backoff_base_ms,
        backoff_cap_ms, retry_blocks, blocks, pause_after, pause_ms)
    VALUES (v_topic, p_service, p_max_attempts, p_backoff_base, p_backoff_cap, p_retry_blocks,
        p_blocks, p_pause_after, p_pause)
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
-- those that wait behind a dead delivery, or behind one that is tried again, go on.
CREATE FUNCTION emporium_2.change_policy(
    p_id int, p_max_attempts bigint, p_backoff_base bigint, p_backoff_cap bigint,
    p_retry_blocks boolean, p_blocks boolean, p_pause_after bigint, p_pause bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_subscription int[];
    v_subject text[];
    v_single bigint[];
    v_proceeding text[];
    v_proceeding_single bigint[];
BEGIN
    UPDATE emporium.subscriptions
    SET max_attempts = p_max_attempts, backoff_base_ms = p_backoff_base,
        backoff_cap_ms = p_backoff_cap, retry_blocks = p_retry_blocks, blocks = p_blocks,
        pause_after = p_pause_after, pause_ms = p_pause
    WHERE id = p_id;
    IF NOT p_blocks THEN
        -- Those that are replayed or discarded meanwhile no longer block.
        PERFORM 1 FROM emporium.dead
        WHERE id > p_id::bigint << 44 AND id < (p_id + 1)::bigint << 44 AND blocking
        ORDER BY id FOR UPDATE;
        WITH unblocked AS (
            UPDATE emporium.dead SET blocking = false
            WHERE id > p_id::bigint << 44 AND id < (p_id + 1)::bigint << 44 AND blocking
            RETURNING subject, single_until
        )
        SELECT array_agg(subject), array_agg(single_until) INTO v_subject, v_single
        FROM unblocked;
    END IF;
    IF NOT p_retry_blocks THEN
        -- Those that wait for their next attempt give their keys up.
        PERFORM 1 FROM emporium.delayed
        WHERE subscription = p_id AND holds AND subject IS NOT NULL AND attempt > forgiven
        ORDER BY id FOR UPDATE;
        WITH proceeding AS (
            UPDATE emporium.delayed SET holds = false
            WHERE subscription = p_id AND holds AND subject IS NOT NULL AND attempt > forgiven
            RETURNING subject, single_until
        )
        SELECT array_agg(subject), array_agg(single_until) INTO v_proceeding, v_proceeding_single
        FROM proceeding;
        v_subject := v_subject || v_proceeding;
        v_single := v_single || v_proceeding_single;
    END IF;
    IF v_subject IS NOT NULL THEN
        v_subscription := array_fill(p_id, ARRAY[cardinality(v_subject)]);
        PERFORM emporium_2.lock_lanes(v_subscription, v_subject);
        PERFORM emporium_2.leave(v_subscription, v_subject, v_single);
    END IF;
END $$;

-- Lease up to `p_limit` deliveries, with those that follow them. `p_after` is where
-- the consumer's last claim ended: those before it have been looked at, and what they
-- left in the index need not be walked over again until the end is reached. `p_claim`
-- is what `disown` knows this claim by.
CREATE FUNCTION emporium_2.claim(
    p_service text, p_topic text, p_max_attempts bigint, p_backoff_base bigint,
    p_backoff_cap bigint, p_retry_blocks int, p_blocks int, p_pause_after bigint, p_pause bigint,
    p_worker text, p_limit int, p_lease int, p_after bigint, p_claim int,
    OUT delivery bigint[], OUT attempt int[], OUT event_id text[], OUT kind text[],
    OUT subject text[], OUT envelope_bytes int[], OUT envelopes bytea, OUT suspect boolean,
    OUT follower_of int[], OUT follower bigint[], OUT follower_event_id text[],
    OUT follower_kind text[], OUT follower_bytes int[], OUT follower_envelopes bytea,
    OUT next_due_in bigint
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_now bigint;
    v_subscription emporium.subscriptions;
    v_first bigint;
    v_low bigint;
    v_high bigint;
    v_after bigint;
    v_worker int;
    v_found bigint[];
    v_suspect boolean[];
    v_attempt int[];
    v_forgiven int[];
    v_subject text[];
    v_single bigint[];
    v_back bigint[];
    v_until bigint := -1;
    v_next bigint;
    v_bytes bigint;
    v_quota int;
    v_keys_locked boolean := false;
BEGIN
    PERFORM emporium_2.check_isolation();
    suspect := false;
    SELECT s.* INTO v_subscription
    FROM emporium.topics AS t JOIN emporium.subscriptions AS s ON s.topic = t.id
    WHERE t.name = p_topic AND s.service = p_service;
    -- A claim binds guests that die with the machine: what a power failure takes
    -- back of it does no harm. A policy or a death must stay.
    IF NOT FOUND THEN
        v_subscription.id := emporium_2.subscribe(p_service, p_topic, p_max_attempts,
            p_backoff_base, p_backoff_cap, p_retry_blocks <> 0, p_blocks <> 0, p_pause_after,
            p_pause);
        SELECT * INTO v_subscription FROM emporium.subscriptions WHERE id = v_subscription.id;
    ELSIF (v_subscription.max_attempts, v_subscription.backoff_base_ms,
        v_subscription.backoff_cap_ms, v_subscription.retry_blocks, v_subscription.blocks,
        v_subscription.pause_after, v_subscription.pause_ms) <> (p_max_attempts,
        p_backoff_base, p_backoff_cap, p_retry_blocks <> 0, p_blocks <> 0, p_pause_after, p_pause)
    THEN
        PERFORM emporium_2.change_policy(v_subscription.id, p_max_attempts, p_backoff_base,
            p_backoff_cap, p_retry_blocks <> 0, p_blocks <> 0, p_pause_after, p_pause);
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

    IF EXISTS (
        SELECT FROM emporium.delayed
        WHERE subscription = v_subscription.id AND due_ms <= v_now
    ) THEN
        -- Before delayed deliveries and keys, because `die` locks it too.
        PERFORM 1 FROM emporium.subscriptions WHERE id = v_subscription.id FOR UPDATE;
    END IF;
    -- Those that gave up their keys to wait for their next attempt need them again. Keys
    -- are locked once in a transaction: then nothing can die in this claim.
    v_back := ARRAY(
        SELECT id FROM emporium.delayed
        WHERE subscription = v_subscription.id AND due_ms <= v_now AND NOT holds
        ORDER BY due_ms LIMIT 1000 FOR UPDATE SKIP LOCKED
    );
    IF v_back <> '{}' THEN
        PERFORM emporium_2.come_back(v_back, v_now);
        v_keys_locked := true;
    END IF;
    v_found := ARRAY(
        SELECT id FROM emporium.delayed
        WHERE subscription = v_subscription.id AND due_ms <= v_now AND holds
        ORDER BY due_ms LIMIT 1000 FOR UPDATE SKIP LOCKED
    );
    IF v_found <> '{}' THEN
        WITH due AS (
            DELETE FROM emporium.delayed WHERE id = ANY (v_found)
            RETURNING id, attempt, forgiven, owed_ms, subject, single_until
        )
        INSERT INTO emporium.deliveries
            (id, attempt, forgiven, owed_ms, subject, single_until, late)
        SELECT id, attempt, forgiven, owed_ms, subject, single_until, true FROM due;
    END IF;

    v_first := v_subscription.id::bigint << 44;
    v_high := (v_subscription.id + 1)::bigint << 44;
    v_low := coalesce((
        SELECT m.low FROM emporium.low_marks AS m WHERE m.subscription = v_subscription.id
    ), v_first);
    v_after := greatest(v_low, p_after);
    FOR round IN 1 .. 3 LOOP
        -- `late` ones up to the last claim, then what comes after it.
        SELECT array_agg(f.id), array_agg(f.leased), array_agg(f.attempt),
            array_agg(f.forgiven), array_agg(f.subject), array_agg(f.single)
        INTO v_found, v_suspect, v_attempt, v_forgiven, v_subject, v_single
        FROM (
            SELECT f.* FROM (
                SELECT d.id, d.leased, d.attempt, d.forgiven, d.subject, d.single_until AS single
                FROM emporium.deliveries AS d
                WHERE d.late AND d.id > v_first AND d.id <= v_after AND d.free_ms <= v_now
                ORDER BY d.id LIMIT p_limit FOR UPDATE SKIP LOCKED
            ) AS f
            UNION ALL
            SELECT f.* FROM (
                SELECT d.id, d.leased, d.attempt, d.forgiven, d.subject, d.single_until AS single
                FROM emporium.deliveries AS d
                WHERE d.id > v_after AND d.id < v_high AND d.free_ms <= v_now
                ORDER BY d.id LIMIT p_limit FOR UPDATE SKIP LOCKED
            ) AS f
            LIMIT p_limit
        ) AS f;
        IF coalesce(cardinality(v_found), 0) < p_limit AND v_after > v_low THEN
            -- The end: from the start again, for those that came late.
            v_after := v_low;
            CONTINUE;
        END IF;
        EXIT WHEN v_found IS NULL OR NOT v_suspect[1];
        -- Its lease ran out: it may have killed its handler. It is handed out
        -- alone, or dies.
        IF v_attempt[1] - v_forgiven[1] < p_max_attempts THEN
            PERFORM emporium_2.count_retried(v_found[1:1]);
            v_found := v_found[1:1];
            v_suspect := '{false}';
            suspect := true;
            EXIT;
        END IF;
        IF v_keys_locked THEN
            -- Keys are locked once in a transaction.
            next_due_in := 0;
            RETURN;
        END IF;
        -- With it die others of which the same is true, but not too many at once.
        SELECT array_agg(f.id), array_agg('the lease of attempt ' || f.attempt || ' ran out')
        INTO v_found, v_subject
        FROM (
            SELECT f.* FROM (
                SELECT d.id, d.attempt, d.forgiven, d.leased FROM emporium.deliveries AS d
                WHERE d.id >= v_found[1] AND d.id < v_high AND d.free_ms <= v_now
                ORDER BY d.id LIMIT 100 FOR UPDATE SKIP LOCKED
            ) AS f
            WHERE f.leased AND f.attempt - f.forgiven >= p_max_attempts
        ) AS f;
        PERFORM set_config('synchronous_commit', 'on', true);
        UPDATE emporium.deliveries SET single_until = greatest(single_until, followers_until)
        WHERE id = ANY (v_found) AND followers_until IS NOT NULL;
        PERFORM emporium_2.die(v_found, v_subject, v_now, true);
        v_keys_locked := true;
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
            string_agg(f.envelope, ''), array_agg(f.single), max(f.bytes)
        INTO delivery, attempt, event_id, kind, subject, envelope_bytes, envelopes, v_single,
            v_bytes
        FROM (
            SELECT f.id, f.attempt, f.subject, f.single, e.id AS event_id, e.kind, e.envelope,
                sum(octet_length(e.envelope)) OVER (ORDER BY f.n) AS bytes, f.n
            FROM unnest(v_found, v_suspect, v_attempt, v_subject, v_single) WITH ORDINALITY
                AS f (id, suspect, attempt, subject, single, n)
            CROSS JOIN LATERAL (
                SELECT e.id, e.kind, e.envelope FROM emporium.events AS e
                WHERE e.sequence = f.id & 17592186044415 OFFSET 0
            ) AS e
            WHERE NOT f.suspect
            ORDER BY f.n
        ) AS f
        WHERE f.bytes <= 16777216 OR f.n = 1;

        -- Those that wait for the keys of first attempts follow, each key as many.
        v_quota := (p_limit - cardinality(delivery))
            / nullif(cardinality(array_remove(subject, NULL)), 0);
        IF NOT suspect AND v_quota > 0 THEN
            SELECT array_agg(f.place), array_agg(f.id), array_agg(f.event_id), array_agg(f.kind),
                array_agg(octet_length(f.envelope)), string_agg(f.envelope, '')
            INTO follower_of, follower, follower_event_id, follower_kind, follower_bytes,
                follower_envelopes
            FROM (
                SELECT f.place, f.id, e.id AS event_id, e.kind, e.envelope,
                    sum(octet_length(e.envelope)) OVER (ORDER BY f.place, f.id) AS bytes
                FROM (
                    SELECT h.place::int AS place, w.id,
                        bool_and(w.due_ms <= v_now AND w.attempt = 0)
                            OVER (PARTITION BY h.place ORDER BY w.id) AS is_ready
                    FROM unnest(delivery, attempt, subject, v_single) WITH ORDINALITY
                        AS h (id, attempt, subject, single, place)
                    CROSS JOIN LATERAL (
                        SELECT w.id, w.due_ms, w.attempt FROM emporium.waiting AS w
                        WHERE w.subscription = v_subscription.id AND w.subject = h.subject
                        ORDER BY w.id LIMIT v_quota
                    ) AS w
                    WHERE h.attempt = 1 AND h.subject IS NOT NULL
                        AND h.id > coalesce(h.single, 0)
                ) AS f
                CROSS JOIN LATERAL (
                    SELECT e.id, e.kind, e.envelope FROM emporium.events AS e
                    WHERE e.sequence = f.id & 17592186044415 OFFSET 0
                ) AS e
                WHERE f.is_ready
                ORDER BY f.place, f.id
            ) AS f
            WHERE f.bytes + v_bytes <= 16777216;
        END IF;
        IF suspect THEN
            UPDATE emporium.deliveries AS d
            SET leased = true, attempt = d.attempt + 1, free_ms = v_until,
                worker = v_worker, claim = p_claim,
                single_until = greatest(d.single_until, d.followers_until), followers_until = NULL
            WHERE d.id = ANY (delivery);
        ELSIF follower IS NOT NULL THEN
            UPDATE emporium.deliveries AS d
            SET leased = true, attempt = d.attempt + 1, free_ms = v_until,
                worker = v_worker, claim = p_claim,
                followers_until = (
                    SELECT max(f.id) FROM unnest(follower_of, follower) AS f (place, id)
                    WHERE delivery[f.place] = d.id
                )
            WHERE d.id = ANY (delivery);
        ELSE
            UPDATE emporium.deliveries
            SET leased = true, attempt = deliveries.attempt + 1, free_ms = v_until,
                worker = v_worker, claim = p_claim
            WHERE id = ANY (delivery);
        END IF;
        -- One whose event is gone is owed to nobody.
        IF cardinality(v_found) > coalesce(cardinality(delivery), 0) AND NOT v_keys_locked
            AND emporium_2.drop_lost(v_found)
        THEN
            next_due_in := 0;
            RETURN;
        END IF;
    END IF;

    -- What else falls due, and when. Behind a full batch there is probably more.
    IF delivery IS NOT NULL THEN
        PERFORM 1 FROM emporium.deliveries AS d
        WHERE d.id > delivery[cardinality(delivery)] AND d.id < v_high AND d.free_ms <= v_now
        LIMIT 1;
        IF FOUND THEN
            next_due_in := 0;
            IF p_after <= v_low THEN
                PERFORM emporium_2.raise_low_mark(v_subscription.id, v_subscription.topic, v_low);
            END IF;
            RETURN;
        END IF;
    END IF;
    IF delivery IS NULL THEN
        -- A publisher does not wake when there is something to claim. It has not
        -- committed, and what it saw has been claimed meanwhile: then nobody else
        -- looks. With this lock no publisher is at work, and what those before have
        -- published can be seen.
        IF pg_try_advisory_xact_lock(1701667184, v_subscription.topic) THEN
            PERFORM 1 FROM emporium.deliveries AS d
            WHERE d.id > v_low AND d.id < v_high AND d.free_ms <= v_now LIMIT 1;
            IF FOUND THEN
                next_due_in := 0;
                RETURN;
            END IF;
        ELSE
            next_due_in := 5;
            RETURN;
        END IF;
    END IF;
    v_next := least((
        SELECT min(f.free_ms) FROM (
            SELECT d.free_ms FROM emporium.deliveries AS d
            WHERE d.late AND d.id > v_first AND d.id <= v_low
                AND NOT (d.leased AND d.free_ms = v_until)
            ORDER BY d.id LIMIT 2000
        ) AS f
    ), (
        SELECT min(f.free_ms) FROM (
            SELECT d.free_ms FROM emporium.deliveries AS d
            WHERE d.id > v_low AND d.id < v_high AND NOT (d.leased AND d.free_ms = v_until)
            ORDER BY d.id LIMIT 2000
        ) AS f
    ), (
        SELECT d.due_ms FROM emporium.delayed AS d
        WHERE d.subscription = v_subscription.id ORDER BY d.due_ms LIMIT 1
    ));
    IF v_next IS NOT NULL THEN
        next_due_in := greatest(v_next - v_now, 0);
    END IF;
    IF p_after <= v_low THEN
        PERFORM emporium_2.raise_low_mark(v_subscription.id, v_subscription.topic, v_low);
    END IF;
END $$;

-- Remove deliveries whose event is gone: older versions could leave some. Returns
-- whether there were any.
CREATE FUNCTION emporium_2.drop_lost(p_id bigint[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_lost bigint[];
    v_subscription int[];
    v_subject text[];
    v_single bigint[];
BEGIN
    WITH lost AS (
        DELETE FROM emporium.deliveries WHERE id = ANY (ARRAY(
            SELECT d.id FROM unnest(p_id) AS d (id)
            WHERE (
                SELECT true FROM emporium.events AS e WHERE e.sequence = d.id & 17592186044415
            ) IS NULL
        ))
        RETURNING id, subject, single_until
    )
    SELECT array_agg(id), array_agg((id >> 44)::int) FILTER (WHERE subject IS NOT NULL),
        array_agg(subject) FILTER (WHERE subject IS NOT NULL),
        array_agg(single_until) FILTER (WHERE subject IS NOT NULL)
    INTO v_lost, v_subscription, v_subject, v_single FROM lost;
    IF v_subject IS NOT NULL THEN
        PERFORM emporium_2.lock_lanes(v_subscription, v_subject);
        PERFORM emporium_2.leave(v_subscription, v_subject, v_single);
    END IF;
    RETURN v_lost IS NOT NULL;
END $$;

-- Have delayed deliveries that gave up their keys wait for them, or take them if
-- they are free. The caller has locked them.
CREATE FUNCTION emporium_2.come_back(p_id bigint[], p_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint[];
    v_subject text[];
    v_due bigint[];
    v_owed bigint[];
    v_attempt int[];
    v_forgiven int[];
    v_subscription int[];
    v_taken_subscription int[];
    v_taken_subject text[];
BEGIN
    WITH due AS (
        DELETE FROM emporium.delayed WHERE id = ANY (p_id)
        RETURNING id, subscription, subject, due_ms, owed_ms, attempt, forgiven
    )
    SELECT array_agg(id), array_agg(subscription), array_agg(subject), array_agg(due_ms),
        array_agg(owed_ms), array_agg(attempt), array_agg(forgiven)
    INTO v_id, v_subscription, v_subject, v_due, v_owed, v_attempt, v_forgiven FROM due;
    SELECT * INTO v_taken_subscription, v_taken_subject
    FROM emporium_2.lock_lanes(v_subscription, v_subject);
    PERFORM emporium_2.enter(v_id, v_subject, v_due, v_owed, v_attempt, v_forgiven, true,
        v_taken_subscription, v_taken_subject, p_now);
END $$;

-- Note up to where no delivery is left, if that is far from where it was noted before.
-- It counts once every transaction has ended that may still insert one below it.
CREATE FUNCTION emporium_2.raise_low_mark(p_subscription int, p_topic int, p_low bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    -- Before the deliveries are looked at: whoever ended by then can be seen.
    v_ended xid8 := pg_snapshot_xmin(pg_current_snapshot());
    v_step CONSTANT bigint := 1000;
    v_first bigint;
    v_mark emporium.low_marks;
BEGIN
    v_first := (
        SELECT d.id - 1 FROM emporium.deliveries AS d
        WHERE d.id > p_low AND d.id < (p_subscription + 1)::bigint << 44 ORDER BY d.id LIMIT 1
    );
    IF v_first IS NULL THEN
        v_first := (p_subscription::bigint << 44) | coalesce((
            SELECT e.sequence FROM emporium.events AS e
            WHERE e.topic = p_topic ORDER BY e.topic DESC, e.sequence DESC LIMIT 1
        ), 0);
    END IF;
    IF v_first - p_low < v_step THEN
        RETURN;
    END IF;
    SELECT * INTO v_mark FROM emporium.low_marks WHERE subscription = p_subscription
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        INSERT INTO emporium.low_marks
        VALUES (p_subscription, p_subscription::bigint << 44, v_first,
            pg_snapshot_xmax(pg_current_snapshot()))
        ON CONFLICT DO NOTHING;
    ELSIF v_mark.next_low <= v_mark.low OR v_ended >= v_mark.next_at THEN
        UPDATE emporium.low_marks
        SET low = greatest(low, least(v_mark.next_low, v_first)), next_low = v_first,
            next_at = pg_snapshot_xmax(pg_current_snapshot())
        WHERE subscription = p_subscription;
    END IF;
END $$;

-- Free what a claim leased whose reply was lost. Nobody has begun that attempt,
-- so that it does not count.
CREATE FUNCTION emporium_2.disown(p_service text, p_topic text, p_claim int) RETURNS void
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
CREATE FUNCTION emporium_2.extend(
    p_id bigint[], p_attempt int[], p_lease int, OUT held int[]
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_locked bigint[];
    v_until bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    -- One that is locked is being settled or handed back, and is not waited for: the
    -- leases of the others would run out meanwhile. It holds as long as that lasts.
    v_locked := ARRAY(
        SELECT id FROM emporium.deliveries WHERE id = ANY (p_id) ORDER BY id
        FOR UPDATE SKIP LOCKED
    );
    v_until := emporium.now_ms() + p_lease;
    UPDATE emporium.deliveries AS d SET free_ms = v_until
    WHERE d.id = ANY (v_locked) AND d.leased
        AND ((d.id, d.attempt) IN (SELECT * FROM unnest(p_id, p_attempt))) IS TRUE;
    SELECT array_agg(l.n::int) INTO held
    FROM unnest(p_id, p_attempt) WITH ORDINALITY AS l (id, attempt, n)
    CROSS JOIN LATERAL (
        SELECT d.id FROM emporium.deliveries AS d
        WHERE d.id = l.id AND d.leased AND d.attempt = l.attempt OFFSET 0
    ) AS d
    WHERE (SELECT true FROM emporium.subscriptions AS s WHERE s.id = (l.id >> 44)::int);
END $$;

-- Hand deliveries back. `p_wait` is absent where the policy decides. Returns,
-- for each lease that held, its place, and when it is due again, or -1 if that
-- was its last attempt.
CREATE FUNCTION emporium_2.release(
    p_id bigint[], p_attempt int[], p_wait bigint[], p_reason text[],
    OUT held int[], OUT due_again bigint[]
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_id bigint[];
    v_dying bigint[];
    v_reason text[];
    v_subscription int[];
    v_subject text[];
    v_single bigint[];
BEGIN
    PERFORM emporium_2.check_isolation();
    -- The time is that of each row when it is locked, not of this call.
    SELECT array_agg(l.n::int ORDER BY l.n), array_agg(d.id ORDER BY l.n),
        array_agg(CASE
            WHEN d.attempt - d.forgiven >= s.max_attempts THEN -1
            ELSE least(emporium.now_ms() + coalesce(l.wait, round(least(
                s.backoff_base_ms * power(4::float8, least(greatest(d.attempt - d.forgiven - 1, 0), 31)),
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

    -- A policy that is being changed is waited for: whether a delivery gives its key up
    -- goes by the new one. `die` needs the stronger lock.
    IF -1 = ANY (due_again) THEN
        PERFORM 1 FROM emporium.subscriptions
        WHERE id = ANY (ARRAY(SELECT DISTINCT (d.id >> 44)::int FROM unnest(v_id) AS d (id)))
        ORDER BY id FOR UPDATE;
    ELSE
        PERFORM 1 FROM emporium.subscriptions
        WHERE id = ANY (ARRAY(SELECT DISTINCT (d.id >> 44)::int FROM unnest(v_id) AS d (id)))
        ORDER BY id FOR SHARE;
    END IF;
    -- The last attempts first: what they lock comes before the keys of the others.
    SELECT array_agg(r.id), array_agg(p_reason[r.n]) INTO v_dying, v_reason
    FROM unnest(v_id, due_again, held) AS r (id, due, n) WHERE r.due < 0;
    SELECT array_agg((r.id >> 44)::int), array_agg(r.subject), array_agg(r.single)
    INTO v_subscription, v_subject, v_single
    FROM (
        SELECT d.id, d.subject, d.single_until AS single
        FROM unnest(v_id, due_again) AS r (id, due)
        CROSS JOIN LATERAL (
            SELECT d.id, d.subject, d.single_until FROM emporium.deliveries AS d WHERE d.id = r.id OFFSET 0
        ) AS d
        JOIN emporium.subscriptions AS s ON s.id = (d.id >> 44)::int
        WHERE r.due >= 0 AND d.subject IS NOT NULL AND NOT s.retry_blocks
    ) AS r;
    IF v_dying IS NOT NULL AND v_subject IS NOT NULL THEN
        -- All keys at once, because `die` locks some of them.
        PERFORM emporium_2.lock_lanes(array_agg((d.id >> 44)::int), array_agg(d.subject))
        FROM emporium.deliveries AS d WHERE d.id = ANY (v_id) AND d.subject IS NOT NULL;
    ELSIF v_subject IS NOT NULL THEN
        PERFORM emporium_2.lock_lanes(v_subscription, v_subject);
    END IF;
    IF v_dying IS NOT NULL THEN
        PERFORM emporium_2.die(v_dying, v_reason, emporium.now_ms(), true);
    END IF;
    WITH returned AS (
        DELETE FROM emporium.deliveries WHERE id = ANY (ARRAY(
            SELECT r.id FROM unnest(v_id, due_again) AS r (id, due) WHERE r.due >= 0
        ))
        RETURNING id, attempt, forgiven, owed_ms, subject, single_until AS single
    )
    INSERT INTO emporium.delayed (id, subscription, due_ms, attempt, forgiven, owed_ms, subject,
        holds, single_until)
    SELECT d.id, d.id >> 44, r.due, d.attempt, d.forgiven, d.owed_ms, d.subject,
        d.subject IS NULL OR (d.id >> 44, d.subject) NOT IN (
            SELECT k.subscription, k.subject FROM unnest(v_subscription, v_subject)
                AS k (subscription, subject)
        ), d.single
    FROM returned AS d JOIN unnest(v_id, due_again) AS r (id, due) ON r.id = d.id;
    IF v_subject IS NOT NULL THEN
        PERFORM emporium_2.leave(v_subscription, v_subject, v_single);
    END IF;
    PERFORM emporium_2.count_retried(ARRAY(
        SELECT r.id FROM unnest(v_id, due_again) AS r (id, due) WHERE r.due >= 0
    ));
END $$;

-- Give deliveries up. Returns which of the leases held.
CREATE FUNCTION emporium_2.bury(
    p_id bigint[], p_attempt int[], p_reason text[], OUT held int[]
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_id bigint[];
    v_reason text[];
BEGIN
    PERFORM emporium_2.check_isolation();
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
    ) AS d
    WHERE (SELECT true FROM emporium.subscriptions AS s WHERE s.id = (d.id >> 44)::int);
    IF held IS NOT NULL THEN
        -- What is rejected is the fault of the event, and pauses nothing.
        PERFORM emporium_2.die(v_id, v_reason, emporium.now_ms(), false);
    END IF;
END $$;
