-- What an approval adds to the accounts that the vault judges by is who approved;
-- whom the request is of, and what he is called, stays what a signer has seen.
SET search_path = countersign;

CREATE TRIGGER keep_accounts BEFORE UPDATE ON airgap_request
    FOR EACH ROW WHEN (substr(NEW.accounts, 1, length(OLD.accounts))
	IS DISTINCT FROM OLD.accounts)
    EXECUTE FUNCTION keep();
