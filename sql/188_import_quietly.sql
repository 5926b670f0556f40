-- Whoever repeats an import finds nothing to do, and leaves no row in audit.  His
-- COMMIT waits for the standby all the same, as in 182_publish_quietly.sql: what
-- the one before has done may not be durable yet.
SET search_path = countersign;

CREATE OR REPLACE FUNCTION import_begin() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(71200105);
	PERFORM FROM deployment FOR NO KEY UPDATE;
END $$;
