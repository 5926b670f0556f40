-- Who publishes the text in force changes nothing, and leaves no row in audit:
-- what keeps hosts as they are publishes it every few minutes.  His COMMIT
-- waits for the standby all the same (179_publish_again.sql): a lock on the
-- row of the version is written to the log as a change is.
SET search_path = countersign;

CREATE OR REPLACE FUNCTION policy_publish(text_body bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE v bigint; last bytea;
BEGIN
	LOCK TABLE policy IN EXCLUSIVE MODE;
	SELECT version, sha256 INTO v, last FROM policy
	    ORDER BY version DESC LIMIT 1;
	IF last = sha256(text_body) THEN
		PERFORM FROM policy WHERE version = v FOR UPDATE;
		RETURN v;
	END IF;
	v := coalesce(v, 0) + 1;
	INSERT INTO policy (version, sha256, body, published_by)
	    VALUES (v, sha256(text_body), text_body, session_user);
	PERFORM note('policy publish', 'version ' || v);
	RETURN v;
END $$;
