-- Public keys that get no certificate: reported as compromised, weak by a list
-- of somebody else's.  Signers read the change numbers every two seconds.
SET search_path = countersign;

CREATE SEQUENCE blocked_change;
CREATE TABLE blocked_key (
	spki_sha256	bytea PRIMARY KEY CHECK (length(spki_sha256) = 32),
	blocked		boolean NOT NULL,
	change		bigint NOT NULL DEFAULT nextval('blocked_change'),
	at		timestamptz NOT NULL DEFAULT now(),
	who		text NOT NULL,
	note		text
);
CREATE INDEX blocked_key_change ON blocked_key (change);

-- Is there something to change, and is it done now?
CREATE FUNCTION key_block(hash bytea, on_list boolean, remark text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	-- one after the other: numbers become visible in their order
	LOCK TABLE blocked_key IN SHARE ROW EXCLUSIVE MODE;
	IF coalesce((SELECT blocked FROM blocked_key
	    WHERE spki_sha256 = hash), false) = on_list THEN
		RETURN false;
	END IF;
	INSERT INTO blocked_key AS b (spki_sha256, blocked, who, note)
	    VALUES (hash, on_list, session_user, remark)
	    ON CONFLICT (spki_sha256) DO UPDATE SET blocked = on_list,
	    change = nextval('blocked_change'), at = now(),
	    who = session_user, note = remark;
	PERFORM note(CASE WHEN on_list THEN 'key block' ELSE 'key unblock' END,
	    encode(hash, 'hex') || coalesce(': ' || remark, ''));
	RETURN true;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT SELECT ON blocked_key TO countersign_signer, countersign_operator,
    countersign_auditor;
GRANT EXECUTE ON FUNCTION key_block(bytea, boolean, text)
    TO countersign_operator;
