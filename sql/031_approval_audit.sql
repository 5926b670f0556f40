-- Who approved and who denied stands in audit like everything operators do.
SET search_path = countersign;

CREATE FUNCTION note_decision() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = countersign, pg_temp AS $$
BEGIN
	INSERT INTO audit (who, action, detail) VALUES (NEW.approved_by,
	    CASE NEW.state WHEN 'issued' THEN 'request approve'
	    ELSE 'request deny' END, 'request ' || NEW.number || ' '
	    || encode(NEW.id, 'hex') || coalesce(': ' || NEW.approval_reason,
	    ''));
	RETURN NULL;
END $$;
CREATE TRIGGER note_decision AFTER UPDATE ON request
    FOR EACH ROW WHEN (OLD.state = 'pending')
    EXECUTE FUNCTION note_decision();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
