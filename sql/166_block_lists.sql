-- Lists of blocked keys by the hundred thousand, also of hashes of moduli
-- (10 octets, see common/badkey.h).
SET search_path = countersign;

ALTER TABLE blocked_key DROP CONSTRAINT blocked_key_spki_sha256_check;
ALTER TABLE blocked_key ADD CONSTRAINT blocked_key_length
    CHECK (length(spki_sha256) IN (10, 32));

-- Many at once, with one audit line; how many changed.
CREATE FUNCTION key_block_all(hashes bytea[], on_list boolean, remark text)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE n bigint;
BEGIN
	LOCK TABLE blocked_key IN SHARE ROW EXCLUSIVE MODE;
	IF on_list THEN
		INSERT INTO blocked_key AS b (spki_sha256, blocked, who, note)
		    SELECT DISTINCT h, true, session_user, remark
		    FROM unnest(hashes) h
		    ON CONFLICT (spki_sha256) DO UPDATE SET blocked = true,
		    change = nextval('blocked_change'), at = now(),
		    who = session_user, note = remark WHERE NOT b.blocked;
	ELSE
		UPDATE blocked_key SET blocked = false,
		    change = nextval('blocked_change'), at = now(),
		    who = session_user, note = remark
		    WHERE spki_sha256 = ANY (hashes) AND blocked;
	END IF;
	GET DIAGNOSTICS n = ROW_COUNT;
	IF n > 0 THEN
		PERFORM note(CASE WHEN on_list THEN 'key block'
		    ELSE 'key unblock' END, CASE
		    WHEN cardinality(hashes) > 2 THEN n || ' keys of a list'
		    ELSE (SELECT string_agg(encode(h, 'hex'), ', ')
			FROM unnest(hashes) h) END
		    || coalesce(': ' || remark, ''));
	END IF;
	RETURN n;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION key_block_all(bytea[], boolean, text)
    TO countersign_operator;
