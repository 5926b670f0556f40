-- What a signer issued to an account's old principal while "account import
-- --replace" was at it, behind the look of 192_replaced.sql at what is to be
-- revoked: it is good for nobody here, and elsewhere it names the new one.
-- Asked for behind the COMMIT, and by later imports when there was none left to
-- ask.  Five seconds: as account_was_others has it.
SET search_path = countersign;

CREATE FUNCTION import_stragglers() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
DECLARE a account; n bigint := 0; these bigint;
BEGIN
	FOR a IN SELECT * FROM account WHERE replaced_at > now()
	    - interval '1 day' ORDER BY name LOOP
		SELECT count(*) INTO these FROM cert_revoke(NULL, a.name, NULL,
		    NULL, NULL, a.replaced_at + interval '5 seconds', NULL,
		    4::smallint, 'account import', false) r
		    WHERE r.outcome = 'revoked';
		n := n + these;
	END LOOP;
	RETURN n;
END $$;

REVOKE ALL ON FUNCTION import_stragglers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION import_stragglers() TO countersign_operator;
