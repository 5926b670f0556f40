-- A mass revocation leaves a row in audit for each certificate: larger pages
-- to copy, and a lock that is held for a moment, however long the reading and
-- the reader's transaction take.
SET search_path = countersign;

-- What comes behind this row, 1,000 rows or a MiB of them.  Numbers are taken
-- in another order than they are committed in, so there must be a moment in
-- which nobody writes: whoever has taken one has locked the table for it and
-- holds that until the end.  What stands there in that moment is complete, up
-- to its last row; what comes later has higher numbers.  When somebody is at
-- it for long, as a mass revocation, there is nothing new yet; others wait for
-- that tenth of a second at most.
CREATE OR REPLACE FUNCTION audit_after(number bigint, moment timestamptz)
RETURNS SETOF audit
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp
SET lock_timeout = '100ms' AS $$
DECLARE last audit;
BEGIN
	-- Of one statement each the views must be, or the lock is for nothing.
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'audit_after needs read committed';
	END IF;
	IF NOT EXISTS (SELECT FROM audit WHERE (n, at) > (number, moment)) THEN
		RETURN;
	END IF;
	BEGIN
		LOCK TABLE audit IN SHARE MODE;
		SELECT a.n, a.at INTO last.n, last.at FROM audit a
		    ORDER BY a.n DESC, a.at DESC LIMIT 1;
		-- Nothing else gives a lock back before a transaction ends.
		RAISE SQLSTATE 'CS000';
	EXCEPTION
		WHEN lock_not_available THEN RETURN;
		WHEN SQLSTATE 'CS000' THEN NULL;
	END;
	-- A long text is copied as its hash: AUDIT_AS_KEPT in rowform.h.
	RETURN QUERY SELECT p.n, p.at, p.who, p.action, p.detail FROM (
	    SELECT a.*, row_number() OVER w AS nth, sum(
		least(octet_length(a.who), 16384) +
		least(octet_length(a.action), 16384) +
		least(octet_length(a.detail), 16384)) OVER w AS octets
	    FROM (SELECT * FROM audit x
		WHERE (x.n, x.at) > (number, moment)
		AND (x.n, x.at) <= (last.n, last.at)
		ORDER BY x.n, x.at LIMIT 1000) a
	    WINDOW w AS (ORDER BY a.n, a.at)) p
	    WHERE p.nth = 1 OR p.octets <= 1048576 ORDER BY p.n, p.at;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
