-- A ledger keeps of a long row its hash alone: a key that is blocked with a long
-- remark has to be named in a short one, too, or a backup that lacks the row
-- would be put right without it.  As in 175, but for that.
SET search_path = countersign;

CREATE OR REPLACE FUNCTION key_block_all(hashes bytea[], on_list boolean,
    remark text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE changed bytea[]; word text; part text; n bigint; i bigint;
BEGIN
	LOCK TABLE blocked_key IN SHARE ROW EXCLUSIVE MODE;
	IF on_list THEN
		WITH c AS (INSERT INTO blocked_key AS b (spki_sha256, blocked,
		    who, note) SELECT DISTINCT h, true, session_user, remark
		    FROM unnest(hashes) h
		    ON CONFLICT (spki_sha256) DO UPDATE SET blocked = true,
		    change = nextval('blocked_change'), at = now(),
		    who = session_user, note = remark WHERE NOT b.blocked
		    RETURNING b.spki_sha256)
		SELECT array_agg(spki_sha256) INTO changed FROM c;
	ELSE
		WITH c AS (UPDATE blocked_key SET blocked = false,
		    change = nextval('blocked_change'), at = now(),
		    who = session_user, note = remark
		    WHERE spki_sha256 = ANY (hashes) AND blocked
		    RETURNING spki_sha256)
		SELECT array_agg(spki_sha256) INTO changed FROM c;
	END IF;
	n := coalesce(cardinality(changed), 0);
	word := CASE WHEN on_list THEN 'key block' ELSE 'key unblock' END;
	IF n > 0 AND cardinality(hashes) <= 2 THEN
		PERFORM note(word, (SELECT string_agg(encode(h, 'hex'), ', ')
		    FROM unnest(hashes) h)
		    || coalesce(': ' || left(remark, 500), ''));
		RETURN n;
	END IF;
	FOR i IN SELECT generate_series(1, n, 200) LOOP
		SELECT count(*) || ' keys of a list, '
		    || string_agg(encode(h, 'hex'), ', ') INTO part
		    FROM unnest(changed[i : i + 199]) h;
		PERFORM note(word, part
		    || coalesce(': ' || left(remark, 500), ''));
	END LOOP;
	RETURN n;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
