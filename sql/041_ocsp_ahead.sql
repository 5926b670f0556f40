-- OCSP answers are made anew before they end, while their certificates live.
SET search_path = countersign;

CREATE INDEX ocsp_next ON ocsp (ca, next_update);

-- What nobody made anew: its certificate has ended.
CREATE FUNCTION ocsp_forget() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	DELETE FROM ocsp WHERE next_update < now() - interval '1 day'
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ocsp_forget() TO countersign_signer;
