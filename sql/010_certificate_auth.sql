-- Workers look up the certificate a client logs on with: whose it is and
-- whether it still counts.  Not its names, not who revoked it.
SET search_path = countersign;

GRANT SELECT (serial, ca, account, template, der, not_before, not_after,
    revoked_at) ON certificate TO countersign_worker;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
