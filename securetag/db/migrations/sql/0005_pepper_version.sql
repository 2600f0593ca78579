-- Null: a key from before versions, hashed under the pepper of that time.
SET LOCAL ROLE securetag_gate;
DROP FUNCTION securetag.authenticate(text);
SET LOCAL ROLE securetag_owner;

ALTER TABLE securetag.api_key ADD COLUMN pepper_version text
    CONSTRAINT ck_api_key_pepper_version CHECK (pepper_version ~ '^[0-9a-f]{8}$');

-- The key behind a prefix, unless it is revoked or has expired. The caller compares digests.
CREATE FUNCTION securetag.authenticate(wanted text)
RETURNS TABLE (key_id uuid, tenant_id uuid, name text, digest bytea, scopes text[], pepper_version text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT id, tenant_id, name, digest, scopes, pepper_version
    FROM securetag.api_key
    WHERE prefix = wanted AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > clock_timestamp())
$$;
GRANT CREATE ON SCHEMA securetag TO securetag_gate;
ALTER FUNCTION securetag.authenticate(text) OWNER TO securetag_gate;
REVOKE CREATE ON SCHEMA securetag FROM securetag_gate;
SET LOCAL ROLE securetag_gate;
REVOKE ALL ON FUNCTION securetag.authenticate(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION securetag.authenticate(text) TO securetag_api;
SET LOCAL ROLE securetag_owner;
