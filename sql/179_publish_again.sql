-- A row can be read whose COMMIT lost its wait for the standby, and a failover
-- takes it back.  Who publishes the same text again writes something, too, so
-- that his COMMIT waits for both.
SET search_path = countersign;

CREATE OR REPLACE FUNCTION policy_publish(text_body bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE v bigint; last bytea;
BEGIN
	LOCK TABLE policy IN EXCLUSIVE MODE;
	SELECT version, sha256 INTO v, last FROM policy
	    ORDER BY version DESC LIMIT 1;
	IF last = sha256(text_body) THEN
		PERFORM note('policy publish again', 'version ' || v);
		RETURN v;
	END IF;
	v := coalesce(v, 0) + 1;
	INSERT INTO policy (version, sha256, body, published_by)
	    VALUES (v, sha256(text_body), text_body, session_user);
	PERFORM note('policy publish', 'version ' || v);
	RETURN v;
END $$;
