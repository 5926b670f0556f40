-- A list that was published in the moment before the database was lost has no
-- row when an old one is put back, and its ledger may lack the row, too: only
-- that it has signed this number.  "countersign reconcile" keeps the highest of
-- all ledgers here, and signers go on above it ([RFC5280] 5.2.3).
SET search_path = countersign;

ALTER TABLE revocation_change ADD told bigint NOT NULL DEFAULT 0;
