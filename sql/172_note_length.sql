-- What an operator writes to a revocation becomes a line in a ledger, and one
-- that is too long ends each signer that reads it.
SET search_path = countersign;

ALTER TABLE revocation_event ADD CONSTRAINT "note of 16384 octets at most"
    CHECK (octet_length(note) <= 16384) NOT VALID;
