-- An operator can suspend a tenant or a key; a consent names its text; open tasks of all tenants are counted.
ALTER TABLE securetag.tenant ADD COLUMN suspended_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE securetag.api_key ADD COLUMN suspended_at TIMESTAMP WITH TIME ZONE;
-- Null: granted before versions were kept.
ALTER TABLE securetag.consent ADD COLUMN text_version TEXT;
GRANT UPDATE (suspended_at) ON securetag.tenant TO securetag_api;

GRANT CREATE ON SCHEMA securetag TO securetag_gate;
SET LOCAL ROLE securetag_gate;
DROP FUNCTION securetag.authenticate(text);
-- As in 0016, but a suspended tenant's tasks wait.
CREATE OR REPLACE FUNCTION securetag.claim(
    worker text, kinds text[], lease_s double precision, most_running bigint
)
RETURNS SETOF securetag.task
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    turn record;
    taken uuid;
    holds_lock boolean := false;
BEGIN
    FOR turn IN
        -- Hops from tenant to tenant along the index: 5,000 tasks of one cost no more than one.
        WITH RECURSIVE waiting AS (
            (
                SELECT task.tenant_id FROM securetag.task WHERE task.state IN ('queued', 'retrying')
                ORDER BY task.tenant_id LIMIT 1
            )
            UNION ALL
            SELECT (
                SELECT task.tenant_id FROM securetag.task
                WHERE task.state IN ('queued', 'retrying') AND task.tenant_id > waiting.tenant_id
                ORDER BY task.tenant_id LIMIT 1
            )
            FROM waiting WHERE waiting.tenant_id IS NOT NULL
        )
        SELECT tenant.id, coalesce((tenant.quotas ->> 'running')::bigint, most_running) AS cap
        FROM waiting JOIN securetag.tenant ON tenant.id = waiting.tenant_id
        WHERE tenant.suspended_at IS NULL
        -- Fences rise with each claim.
        ORDER BY (
            SELECT max(task.fence) FROM securetag.task WHERE task.tenant_id = tenant.id
        ) NULLS FIRST, tenant.id
    LOOP
        IF turn.cap IS NOT NULL THEN
            CONTINUE WHEN turn.cap <= (
                SELECT count(*) FROM securetag.task
                WHERE task.tenant_id = turn.id AND task.state = 'running'
            );
            -- Two claims must not both take the last place. Nobody waits for a second lock, so that no two
            -- wait for each other.
            IF holds_lock THEN
                CONTINUE WHEN NOT pg_try_advisory_xact_lock(hashtextextended('claim ' || turn.id, 0));
            ELSE
                PERFORM pg_advisory_xact_lock(hashtextextended('claim ' || turn.id, 0));
                holds_lock := true;
            END IF;
            CONTINUE WHEN turn.cap <= (
                SELECT count(*) FROM securetag.task
                WHERE task.tenant_id = turn.id AND task.state = 'running'
            );
        END IF;
        SELECT task.id INTO taken FROM securetag.task
        WHERE task.tenant_id = turn.id AND task.state IN ('queued', 'retrying')
            AND task.not_before <= clock_timestamp()
            AND task.kind = ANY (kinds) AND task.attempt < task.max_attempts
        ORDER BY task.priority DESC, task.not_before, task.id
        LIMIT 1
        FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        RETURN QUERY UPDATE securetag.task SET
            state = 'running', attempt = task.attempt + 1, worker_id = worker,
            fence = nextval('securetag.task_fence'), claimed_at = clock_timestamp(),
            lease_until = clock_timestamp() + make_interval(secs => lease_s),
            started_at = coalesce(task.started_at, clock_timestamp()),
            stage = '', process_group = NULL, reason = ''
        WHERE task.id = taken
        RETURNING task.*;
        RETURN;
    END LOOP;
END
$$;
SET LOCAL ROLE securetag_owner;
REVOKE CREATE ON SCHEMA securetag FROM securetag_gate;

-- How many tasks of each kind wait or run, and for how many seconds the oldest has been due.
CREATE FUNCTION securetag.open_tasks()
RETURNS TABLE (kind text, state text, tasks bigint, oldest_s double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT kind, state, count(*),
        greatest(0, extract(epoch FROM clock_timestamp() - min(
            CASE WHEN state = 'running' THEN claimed_at ELSE not_before END
        )))::double precision
    FROM securetag.task WHERE state IN ('queued', 'retrying', 'running')
    GROUP BY kind, state
$$;

-- The key behind a prefix, unless it is revoked or has expired. The caller compares digests.
CREATE FUNCTION securetag.authenticate(wanted text)
RETURNS TABLE (
    key_id uuid, tenant_id uuid, name text, digest bytea, scopes text[], pepper_version text, suspended text
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT api_key.id, api_key.tenant_id, api_key.name, digest, scopes, pepper_version,
        CASE WHEN tenant.suspended_at IS NOT NULL THEN 'tenant'
            WHEN api_key.suspended_at IS NOT NULL THEN 'key' END
    FROM securetag.api_key JOIN securetag.tenant ON tenant.id = api_key.tenant_id
    WHERE prefix = wanted AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > clock_timestamp())
$$;
GRANT CREATE ON SCHEMA securetag TO securetag_gate;
ALTER FUNCTION securetag.authenticate(text) OWNER TO securetag_gate;
ALTER FUNCTION securetag.open_tasks() OWNER TO securetag_gate;
REVOKE CREATE ON SCHEMA securetag FROM securetag_gate;
SET LOCAL ROLE securetag_gate;
REVOKE ALL ON FUNCTION securetag.authenticate(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION securetag.authenticate(text) TO securetag_api;
REVOKE ALL ON FUNCTION securetag.open_tasks() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION securetag.open_tasks() TO securetag_api;
SET LOCAL ROLE securetag_owner;
