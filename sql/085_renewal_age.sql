-- Renewal: since when one certificate after the other goes on.
SET search_path = countersign;

-- Of a renewal: when the first certificate of its chain began.
ALTER TABLE certificate ADD COLUMN chain_start timestamptz;
UPDATE certificate c SET chain_start = (SELECT min(f.not_before)
    FROM renewal_chain(c.serial) s JOIN certificate f ON f.serial = s)
    WHERE c.renewals > 0;

DROP TRIGGER keep_renewals ON certificate;
CREATE TRIGGER keep_renewals BEFORE UPDATE ON certificate
    FOR EACH ROW WHEN ((OLD.renewals, OLD.chain_start, OLD.not_before,
	OLD.not_after, OLD.spki_sha256) IS DISTINCT FROM (NEW.renewals,
	NEW.chain_start, NEW.not_before, NEW.not_after, NEW.spki_sha256))
    EXECUTE FUNCTION keep();

GRANT SELECT (chain_start) ON certificate TO countersign_worker;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
