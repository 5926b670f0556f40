-- The signed answer to a request that has waited, made when it was approved:
-- its client comes for it once, and then a signature would be in the way.
SET search_path = countersign;

GRANT UPDATE (response) ON request TO countersign_signer;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
