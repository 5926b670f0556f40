-- How many certificates end soon, without reading all of them: rows lie in
-- the order in which they were issued, so their ends do too, more or less.
SET search_path = countersign;

CREATE INDEX certificate_ends ON certificate USING brin (not_after)
    WITH (pages_per_range = 32, autosummarize = on);

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
