-- O'Brien is called so in directories, too: see account_canonical.
SET search_path = countersign;

ALTER TABLE account DROP CONSTRAINT account_name_check,
    ADD CONSTRAINT account_name_check
	CHECK (name ~ '^[a-z0-9@_$''-][a-z0-9@._$''-]*$'
	    AND length(name) <= 128);
