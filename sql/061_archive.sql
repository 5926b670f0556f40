-- Archived private keys, and the exchange keys that carry them here.
SET search_path = countersign;

-- sealed: the private key, under a key that follows from the CA's; gone a
-- week after the certificate's end, so that what clients once encrypted to it
-- cannot be opened by anybody any more.
CREATE TABLE exchange_key (
	serial		bytea PRIMARY KEY,	-- of a row in certificate
	ca		text NOT NULL,
	sealed		bytea,
	not_after	timestamptz NOT NULL
);
CREATE INDEX exchange_key_ca ON exchange_key (ca, not_after);

-- CMS EnvelopedData over PKCS#8, to the recovery agents of that day.
CREATE TABLE archived_key (
	serial		bytea PRIMARY KEY,	-- of a row in certificate
	body		bytea NOT NULL,
	archived_at	timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE archived_key ALTER body SET STORAGE EXTERNAL;

CREATE FUNCTION keep_exchange() RETURNS trigger
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
BEGIN
	IF NEW.sealed IS NOT NULL OR (OLD.serial, OLD.ca, OLD.not_after)
	    IS DISTINCT FROM (NEW.serial, NEW.ca, NEW.not_after) THEN
		RAISE EXCEPTION 'exchange keys are only wiped';
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER keep_exchange BEFORE UPDATE ON exchange_key
    FOR EACH ROW EXECUTE FUNCTION keep_exchange();
CREATE TRIGGER keep BEFORE DELETE ON exchange_key
    FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON archived_key
    FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON exchange_key
    FOR EACH STATEMENT EXECUTE FUNCTION keep();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON archived_key
    FOR EACH STATEMENT EXECUTE FUNCTION keep();

CREATE FUNCTION exchange_wipe() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
	UPDATE exchange_key SET sealed = NULL WHERE sealed IS NOT NULL
	    AND not_after < now() - interval '7 days'
$$;

-- The key and the line in audit come together: nobody gets one in silence.
CREATE FUNCTION key_recover(num bytea) RETURNS bytea
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE b bytea; c certificate;
BEGIN
	SELECT body INTO b FROM archived_key WHERE serial = num;
	IF NOT FOUND THEN RETURN NULL; END IF;
	SELECT * INTO c FROM certificate WHERE serial = num;
	PERFORM note('key recover', upper(encode(num, 'hex')) || ' account '
	    || c.account || ' template ' || c.template);
	RETURN b;
END $$;

GRANT SELECT, INSERT ON exchange_key TO countersign_signer;
GRANT INSERT ON archived_key TO countersign_signer;
GRANT SELECT (serial, ca, not_after) ON exchange_key TO countersign_auditor,
    countersign_operator;
GRANT SELECT (serial, archived_at) ON archived_key TO countersign_auditor,
    countersign_operator;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
GRANT EXECUTE ON FUNCTION exchange_wipe() TO countersign_signer;
GRANT EXECUTE ON FUNCTION key_recover(bytea) TO countersign_operator;
