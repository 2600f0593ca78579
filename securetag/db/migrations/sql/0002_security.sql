-- Who may see and do what, and the few functions that look over tenants.
-- securetag_owner runs this; the roles exist already (securetag.db.roles).

GRANT USAGE ON SCHEMA securetag TO securetag_api, securetag_gate, securetag_harvest;
GRANT SELECT ON securetag.alembic_version TO securetag_api, securetag_harvest;

-- Row-level security ---------------------------------------------------------------------------
-- FORCE binds the owner too, for whom no policy is written: a migration that must move tenants'
-- rows says so by lifting it for that moment.

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT attrelid::regclass::text
        FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'securetag'::regnamespace AND relkind = 'r' AND attname = 'tenant_id'
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY of_tenant ON %s TO securetag_api '
            'USING (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)',
            name
        );
    END LOOP;
END
$$;

ALTER TABLE securetag.tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE securetag.tenant FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON securetag.tenant TO securetag_api
    USING (id = nullif(current_setting('app.tenant_id', true), '')::uuid);

-- The api --------------------------------------------------------------------------------------
-- History is append-only: no UPDATE, no DELETE on task_event, audit_log, verdicts, feedback.

GRANT SELECT, INSERT ON
    securetag.tenant, securetag.task_event, securetag.codeaudit_upload, securetag.tool_execution,
    securetag.scan_result, securetag.finding_occurrence, securetag.triage_verdict,
    securetag.feedback, securetag.audit_log
    TO securetag_api;
GRANT SELECT, INSERT, UPDATE ON
    securetag.api_key, securetag.project, securetag.task, securetag.worker_heartbeat,
    securetag.artifact, securetag.finding, securetag.webhook_delivery, securetag.quota_usage,
    securetag.consent, securetag.erasure_request
    TO securetag_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    securetag.suppression, securetag.idempotency_key, securetag.webhook
    TO securetag_api;

-- The harvest ----------------------------------------------------------------------------------
-- A tenant whose consent isn't in force has no row here, whatever the query says.

CREATE POLICY in_force ON securetag.consent FOR SELECT TO securetag_harvest
    USING (withdrawn_at IS NULL);
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'project', 'finding', 'finding_occurrence', 'triage_verdict', 'feedback', 'tool_execution'
    ]
    LOOP
        EXECUTE format(
            'CREATE POLICY consenting ON securetag.%1$I FOR SELECT TO securetag_harvest '
            'USING (EXISTS (SELECT FROM securetag.consent WHERE consent.tenant_id = %1$I.tenant_id '
            'AND consent.withdrawn_at IS NULL))',
            name
        );
        EXECUTE format('GRANT SELECT ON securetag.%I TO securetag_harvest', name);
    END LOOP;
END
$$;
GRANT SELECT ON securetag.consent TO securetag_harvest;

-- The state machine ----------------------------------------------------------------------------
-- The same table as securetag.db.states.TRANSITIONS; a test compares them.

CREATE FUNCTION securetag.task_may(before text, after text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE before
        WHEN 'queued' THEN after IN ('running', 'cancelled')
        WHEN 'running' THEN
            after IN ('completed', 'retrying', 'dead_letter', 'failed', 'timeout', 'cancelled')
        WHEN 'retrying' THEN after IN ('running', 'cancelled')
        ELSE false
    END
$$;

CREATE FUNCTION securetag.task_transition() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'queued' THEN
            RAISE EXCEPTION 'a task begins queued, not %', NEW.state USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NOT securetag.task_may(OLD.state, NEW.state) THEN
        RAISE EXCEPTION 'a task that is % may not become %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (
        SELECT FROM unnest(ARRAY['queued', 'running', 'retrying']) AS open WHERE open = NEW.state
    ) THEN
        NEW.finished_at := clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER task_begins BEFORE INSERT ON securetag.task
    FOR EACH ROW EXECUTE FUNCTION securetag.task_transition();
CREATE TRIGGER task_transition BEFORE UPDATE OF state ON securetag.task
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION securetag.task_transition();

-- Appends to the history in the transaction of the change itself, and wakes waiting workers.
CREATE FUNCTION securetag.task_history() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO securetag.task_event
        (tenant_id, task_id, from_state, to_state, attempt, fence, worker_id, reason)
    VALUES (
        NEW.tenant_id, NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, NEW.state,
        NEW.attempt, NEW.fence, NEW.worker_id, NEW.reason
    );
    IF TG_OP = 'INSERT' THEN
        PERFORM pg_notify('securetag_task', NEW.kind);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER task_born AFTER INSERT ON securetag.task
    FOR EACH ROW EXECUTE FUNCTION securetag.task_history();
CREATE TRIGGER task_history AFTER UPDATE OF state ON securetag.task
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION securetag.task_history();

-- The gate -------------------------------------------------------------------------------------
-- It sees these tables over all tenants, through its functions alone: it can't log in.

CREATE POLICY gate ON securetag.tenant FOR SELECT TO securetag_gate USING (true);
CREATE POLICY gate ON securetag.api_key FOR SELECT TO securetag_gate USING (true);
CREATE POLICY gate_reads ON securetag.task FOR SELECT TO securetag_gate USING (true);
CREATE POLICY gate_moves ON securetag.task FOR UPDATE TO securetag_gate USING (true);
CREATE POLICY gate ON securetag.task_event FOR INSERT TO securetag_gate WITH CHECK (true);
GRANT SELECT ON securetag.tenant, securetag.api_key TO securetag_gate;
GRANT SELECT, UPDATE ON securetag.task TO securetag_gate;
GRANT INSERT ON securetag.task_event TO securetag_gate;
GRANT USAGE ON SEQUENCE securetag.task_fence TO securetag_gate;

-- The key behind a prefix, unless it is revoked or has expired. The caller compares digests.
CREATE FUNCTION securetag.authenticate(wanted text)
RETURNS TABLE (key_id uuid, tenant_id uuid, name text, digest bytea, scopes text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT id, tenant_id, name, digest, scopes
    FROM securetag.api_key
    WHERE prefix = wanted AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > clock_timestamp())
$$;

-- All tenants, for an operator; pages of `page` after the id `after` (null: from the start).
CREATE FUNCTION securetag.tenants(after uuid, page integer) RETURNS SETOF securetag.tenant
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM securetag.tenant WHERE after IS NULL OR id > after ORDER BY id LIMIT page
$$;

-- Lease the oldest due task of these kinds: no row when there is none.
CREATE FUNCTION securetag.claim(worker text, kinds text[], lease_s double precision)
RETURNS SETOF securetag.task
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH due AS MATERIALIZED (
        SELECT id FROM securetag.task
        WHERE state IN ('queued', 'retrying') AND not_before <= clock_timestamp()
            AND kind = ANY (kinds) AND attempt < max_attempts
        ORDER BY not_before, id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    UPDATE securetag.task SET
        state = 'running', attempt = attempt + 1, worker_id = worker,
        fence = nextval('securetag.task_fence'), claimed_at = clock_timestamp(),
        lease_until = clock_timestamp() + make_interval(secs => lease_s),
        started_at = coalesce(started_at, clock_timestamp()),
        stage = '', process_group = NULL, reason = ''
    FROM due WHERE task.id = due.id
    RETURNING task.*
$$;

-- Take back what was lost: leases that ran out, attempts that overran their limit by `grace_s`.
CREATE FUNCTION securetag.reap(backoff_s double precision, grace_s double precision)
RETURNS SETOF securetag.task
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH lost AS MATERIALIZED (
        SELECT id, lease_until <= clock_timestamp() AS expired FROM securetag.task
        WHERE state = 'running' AND (
            lease_until <= clock_timestamp()
            OR claimed_at + make_interval(secs => time_limit_s + grace_s) <= clock_timestamp()
        )
        ORDER BY lease_until
        LIMIT 200
        FOR UPDATE SKIP LOCKED
    )
    UPDATE securetag.task SET
        state = CASE
            WHEN NOT expired THEN 'timeout'
            WHEN attempt < max_attempts THEN 'retrying'
            ELSE 'dead_letter'
        END,
        reason = CASE
            WHEN NOT expired THEN format('attempt %s ran longer than %s s', attempt, time_limit_s)
            WHEN attempt < max_attempts THEN format('worker %s fell silent', worker_id)
            ELSE format('worker %s fell silent; attempt %s was the last', worker_id, attempt)
        END,
        not_before = clock_timestamp() + make_interval(secs => least(300, backoff_s * 4 ^ (attempt - 1)))
    FROM lost WHERE task.id = lost.id
    RETURNING task.*
$$;

-- Only the gate owns them, so that each sees what the gate may see and no more.
GRANT CREATE ON SCHEMA securetag TO securetag_gate;
ALTER FUNCTION securetag.authenticate(text) OWNER TO securetag_gate;
ALTER FUNCTION securetag.tenants(uuid, integer) OWNER TO securetag_gate;
ALTER FUNCTION securetag.claim(text, text[], double precision) OWNER TO securetag_gate;
ALTER FUNCTION securetag.reap(double precision, double precision) OWNER TO securetag_gate;
REVOKE CREATE ON SCHEMA securetag FROM securetag_gate;

SET LOCAL ROLE securetag_gate;
REVOKE ALL ON FUNCTION
    securetag.authenticate(text), securetag.tenants(uuid, integer),
    securetag.claim(text, text[], double precision),
    securetag.reap(double precision, double precision)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    securetag.authenticate(text), securetag.tenants(uuid, integer),
    securetag.claim(text, text[], double precision),
    securetag.reap(double precision, double precision)
    TO securetag_api;
SET LOCAL ROLE securetag_owner;
