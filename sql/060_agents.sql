-- Enrolling on behalf of others.
SET search_path = countersign;

-- account is then whom the certificate is for; agent is who asked, and to
-- whom alone the answer is given again.
ALTER TABLE request ADD agent text;
CREATE INDEX request_agent ON request (agent, received_at)
    WHERE agent IS NOT NULL;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA countersign FROM PUBLIC;
