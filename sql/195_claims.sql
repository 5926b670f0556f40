-- Operators share a role of the database.  Who of them it was the command line
-- tells, by the name under which he logged on to his host: audit keeps it beside
-- the role, as what it is, a claim.
SET search_path = countersign;

CREATE OR REPLACE FUNCTION claim() RETURNS trigger
LANGUAGE plpgsql SET search_path = countersign, pg_temp AS $$
BEGIN
	NEW.who := NEW.who || ' (says ' || left(regexp_replace(
	    current_setting('countersign.operator'), '[^A-Za-z0-9._@-]', '?',
	    'g'), 64) || ')';
	RETURN NEW;
END $$;

-- Not the rows that reconcile puts back: it says nothing in that session.
CREATE OR REPLACE TRIGGER claim BEFORE INSERT ON audit FOR EACH ROW
    WHEN (NEW.who = session_user
    AND current_setting('countersign.operator', true) <> '')
    EXECUTE FUNCTION claim();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
