-- "countersign doctor" compares what was applied with the files it has; the
-- table is in a schema that operators have no business in.
SET search_path = countersign;

CREATE FUNCTION migrations() RETURNS TABLE (name text, sha256 text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = countersign, pg_temp
AS $$
	SELECT m.name, m.sha256 FROM public.countersign_migration m
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION migrations()
    TO countersign_operator, countersign_auditor;
