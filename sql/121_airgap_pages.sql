-- A round is read a page at a time.
SET search_path = countersign;

DROP INDEX airgap_request_open;
CREATE INDEX airgap_request_round ON airgap_request (round, day, id);

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
