-- A month's partitions need both tables for themselves for a moment.  Whoever
-- reads them for hours (a dump, "ledger verify") kept all others waiting
-- behind that, again and again, and no signer started.  Months are made ahead:
-- there is time.
SET search_path = countersign;

-- As in 001; signers call it at start, each hour, and when the clock has
-- stepped.
CREATE OR REPLACE FUNCTION make_partitions(months integer DEFAULT 3)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp
SET lock_timeout = '100ms' AS $$
DECLARE
	m0 timestamptz; m1 timestamptz; suffix text; made integer := 0;
	i integer;
BEGIN
	PERFORM pg_advisory_xact_lock(71200101);
	FOR i IN -1 .. months LOOP
		m0 := (date_trunc('month', now() AT TIME ZONE 'UTC')
		    + make_interval(months => i)) AT TIME ZONE 'UTC';
		m1 := (date_trunc('month', now() AT TIME ZONE 'UTC')
		    + make_interval(months => i + 1)) AT TIME ZONE 'UTC';
		suffix := to_char(m0 AT TIME ZONE 'UTC', 'YYYYMM');
		IF to_regclass('countersign.request_' || suffix) IS NOT NULL THEN
			CONTINUE;
		END IF;
		BEGIN
			EXECUTE format('CREATE TABLE request_%s PARTITION OF '
			    'request FOR VALUES FROM (%s) TO (%s)', suffix,
			    extract(epoch FROM m0)::bigint / 86400,
			    extract(epoch FROM m1)::bigint / 86400);
			EXECUTE format('CREATE TABLE certificate_%s '
			    'PARTITION OF certificate '
			    'FOR VALUES FROM (%L) TO (%L)', suffix,
			    serial_time(m0), serial_time(m1));
			made := made + 1;
		EXCEPTION
		WHEN check_violation THEN
			RAISE WARNING 'month % stays in the default partitions',
			    suffix;
		WHEN lock_not_available THEN
			RAISE WARNING 'month %: somebody reads for long',
			    suffix;
			EXIT;
		END;
	END LOOP;
	RETURN made;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
