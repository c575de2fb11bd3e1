-- Blobs. An upload is a row without a digest, to which chunks are added.

-- Add a chunk to an upload, which begins with its first one. Returns its id.
CREATE FUNCTION emporium_2.add_chunk(
    p_blob bigint, p_position int, p_content bytea
) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    IF p_blob IS NULL THEN
        INSERT INTO emporium.blobs (size, unreferenced_ms) VALUES (0, emporium.now_ms())
        RETURNING id INTO p_blob;
    END IF;
    INSERT INTO emporium.chunks VALUES (p_blob, p_position, p_content);
    RETURN p_blob;
END $$;

-- Refresh the time that an unreferenced blob has left, if the content is there.
CREATE FUNCTION emporium_2.keep_a_while(p_digest text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM emporium.blobs WHERE digest = p_digest FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE emporium.blobs SET unreferenced_ms = emporium.now_ms()
    WHERE digest = p_digest AND unreferenced_ms IS NOT NULL;
    RETURN true;
END $$;

-- End an upload with what is left of its content. Returns whether it is the one
-- that is kept: another one with the same content may have been there before.
CREATE FUNCTION emporium_2.finish_blob(
    p_blob bigint, p_position int, p_rest bytea, p_digest text, p_size bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := emporium.now_ms();
    v_id bigint;
BEGIN
    LOOP
        IF emporium_2.keep_a_while(p_digest) THEN
            DELETE FROM emporium.chunks WHERE blob = p_blob;
            DELETE FROM emporium.blobs WHERE id = p_blob;
            RETURN false;
        END IF;
        BEGIN
            IF p_blob IS NULL THEN
                INSERT INTO emporium.blobs (digest, size, unreferenced_ms)
                VALUES (p_digest, p_size, v_now) RETURNING id INTO v_id;
            ELSE
                UPDATE emporium.blobs
                SET digest = p_digest, size = p_size, unreferenced_ms = v_now
                WHERE id = p_blob RETURNING id INTO v_id;
                IF v_id IS NULL THEN
                    RAISE EXCEPTION 'the unfinished upload was swept';
                END IF;
            END IF;
            IF length(p_rest) > 0 THEN
                INSERT INTO emporium.chunks VALUES (v_id, p_position, p_rest);
            END IF;
            RETURN true;
        EXCEPTION WHEN unique_violation THEN
            -- Somebody else finished the same content meanwhile.
            NULL;
        END;
    END LOOP;
END $$;

-- Discard what was written of an upload.
CREATE FUNCTION emporium_2.discard_upload(p_blob bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM emporium.blobs WHERE id = p_blob AND digest IS NULL;
    IF FOUND THEN
        DELETE FROM emporium.chunks WHERE blob = p_blob;
    END IF;
END $$;
