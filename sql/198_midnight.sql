-- The same message before and behind midnight: rows of two days, which no
-- unique index holds together.  Who comes second finds the first (find_repeated
-- in signer/batch.c); two signers that have it in the same instant meet here.
SET search_path = countersign;

CREATE FUNCTION repeated_at_midnight() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(71200106,
	    hashtext(encode(NEW.replay_key, 'hex')));
	-- a statement of its own: it sees what this transaction waited for
	IF EXISTS (SELECT FROM request WHERE day IN (NEW.day - 1, NEW.day + 1)
	    AND replay_key = NEW.replay_key AND state <> 'denied') THEN
		RAISE unique_violation USING TABLE = 'request',
		    MESSAGE = 'message ' || encode(NEW.replay_key, 'hex')
		    || ' was answered on the other side of midnight';
	END IF;
	RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION repeated_at_midnight() FROM PUBLIC;

-- Within an hour, as signers look it up.  What reconcile puts back has been
-- through this.
CREATE TRIGGER midnight AFTER INSERT ON request FOR EACH ROW
    WHEN (NEW.state <> 'denied' AND
	current_setting('countersign.one_account', true) = 'on' AND
	(date_part('epoch', NEW.received_at)::bigint + 3600) % 86400 < 7200)
    EXECUTE FUNCTION repeated_at_midnight();
