-- Webhooks are sent. An event becomes a delivery to each webhook that wants it in the event's own transaction; the
-- api claims what is due, one delivery of a webhook at a time.
ALTER TABLE securetag.webhook
    -- Signs too until `previous_until`.
    ADD COLUMN previous_secret TEXT,
    ADD COLUMN previous_until TIMESTAMP WITH TIME ZONE,
    -- Deliveries given up since the last one that arrived.
    ADD COLUMN failures BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN disabled_reason TEXT DEFAULT '' NOT NULL,
    -- A delivery is under way until then, unless it ends sooner.
    ADD COLUMN busy_until TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL;
ALTER TABLE securetag.webhook_delivery ADD COLUMN attempted_at TIMESTAMP WITH TIME ZONE;
DROP INDEX securetag.ix_webhook_delivery_due;
CREATE INDEX ix_webhook_delivery_due ON securetag.webhook_delivery (webhook_id, not_before)
    WHERE finished_at IS NULL;
CREATE INDEX ix_webhook_delivery_webhook_id_id ON securetag.webhook_delivery (webhook_id, id);
GRANT DELETE ON securetag.webhook_delivery TO securetag_api;

CREATE POLICY gate_reads ON securetag.webhook FOR SELECT TO securetag_gate USING (true);
CREATE POLICY gate_moves ON securetag.webhook FOR UPDATE TO securetag_gate USING (true);
CREATE POLICY gate_reads ON securetag.webhook_delivery FOR SELECT TO securetag_gate USING (true);
CREATE POLICY gate_moves ON securetag.webhook_delivery FOR UPDATE TO securetag_gate USING (true);
CREATE POLICY gate_adds ON securetag.webhook_delivery FOR INSERT TO securetag_gate WITH CHECK (true);
-- The name of a project whose task the reaper gives up.
CREATE POLICY gate_reads ON securetag.project FOR SELECT TO securetag_gate USING (true);
GRANT UPDATE (busy_until) ON securetag.webhook TO securetag_gate;
GRANT INSERT, UPDATE (attempt, attempted_at, not_before) ON securetag.webhook_delivery TO securetag_gate;

-- As the ids that are made in Python: in the order of time.
CREATE FUNCTION securetag.make_uuid7() RETURNS uuid
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(
                uuid_send(gen_random_uuid())
                PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6
            ), 52, 1), 53, 1),
        'hex'
    )::uuid
$$;

-- Write down an event for each active webhook of the tenant that wants it.
CREATE FUNCTION securetag.add_deliveries(tenant uuid, name text, data jsonb) RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO securetag.webhook_delivery (id, tenant_id, webhook_id, event, payload)
    SELECT securetag.make_uuid7(), tenant, webhook.id, name, jsonb_build_object(
        'type', name,
        'timestamp', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'data', data
    )
    FROM securetag.webhook
    WHERE webhook.tenant_id = tenant AND webhook.active AND name = ANY (webhook.events)
$$;

-- A task has ended: by its worker, by a person, or by the reaper, which is of no tenant.
CREATE FUNCTION securetag.task_webhooks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    data jsonb;
    reopened jsonb;
    number bigint;
BEGIN
    IF NOT EXISTS (
        SELECT FROM securetag.webhook WHERE webhook.tenant_id = NEW.tenant_id AND webhook.active
    ) THEN
        RETURN NULL;
    END IF;
    SELECT jsonb_build_object(
        'task_id', NEW.id, 'kind', NEW.kind, 'project_id', project.id, 'project', project.name,
        'branch', NEW.params ->> 'branch', 'commit', NEW.params ->> 'commit'
    ) INTO data FROM securetag.project WHERE project.id = NEW.project_id;
    IF NEW.state <> 'completed' THEN
        PERFORM securetag.add_deliveries(
            NEW.tenant_id, 'scan.failed',
            data || jsonb_build_object('state', NEW.state, 'reason', NEW.reason, 'attempts', NEW.attempt)
        );
        RETURN NULL;
    END IF;
    PERFORM securetag.add_deliveries(NEW.tenant_id, 'scan.completed', data || coalesce((
        SELECT jsonb_build_object(
            'findings', result.findings, 'by_severity', result.by_severity, 'by_verdict', result.by_verdict
        )
        FROM securetag.scan_result AS result WHERE result.task_id = NEW.id LIMIT 1
    ), '{}'));
    -- The first hundred by id, and how many there are.
    SELECT jsonb_agg(jsonb_build_object(
        'finding_id', listed.id, 'rule_id', listed.rule_id, 'severity', listed.severity, 'title', listed.title
    )), max(listed.total) INTO reopened, number
    FROM (
        SELECT finding.id, finding.rule_id, finding.severity, finding.title, count(*) OVER () AS total
        FROM securetag.finding_state AS state JOIN securetag.finding ON finding.id = state.finding_id
        WHERE state.project_id = NEW.project_id AND state.task_id = NEW.id AND state.state = 'reopened'
        ORDER BY finding.id LIMIT 100
    ) AS listed;
    IF number > 0 THEN
        PERFORM securetag.add_deliveries(
            NEW.tenant_id, 'finding.reopened',
            data || jsonb_build_object('count', number, 'findings', reopened)
        );
    END IF;
    RETURN NULL;
END
$$;

-- Up to `most` webhooks get their oldest due delivery, each for `lease_s`: whoever dies with one loses it then.
CREATE FUNCTION securetag.claim_deliveries(most integer, lease_s double precision)
RETURNS SETOF securetag.webhook_delivery
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    turn uuid;
    taken uuid;
    until timestamptz := clock_timestamp() + make_interval(secs => lease_s);
BEGIN
    FOR turn IN
        SELECT webhook.id FROM securetag.webhook JOIN securetag.tenant ON tenant.id = webhook.tenant_id
        WHERE webhook.active AND webhook.busy_until <= clock_timestamp() AND tenant.suspended_at IS NULL
            AND EXISTS (
                SELECT FROM securetag.webhook_delivery AS due WHERE due.webhook_id = webhook.id
                    AND due.finished_at IS NULL AND due.not_before <= clock_timestamp()
            )
        -- The one that has waited longest since its last delivery.
        ORDER BY webhook.busy_until, webhook.id
        LIMIT most
        FOR UPDATE OF webhook SKIP LOCKED
    LOOP
        SELECT due.id INTO taken FROM securetag.webhook_delivery AS due
        WHERE due.webhook_id = turn AND due.finished_at IS NULL AND due.not_before <= clock_timestamp()
        ORDER BY due.not_before, due.id LIMIT 1 FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        UPDATE securetag.webhook SET busy_until = until WHERE webhook.id = turn;
        RETURN QUERY UPDATE securetag.webhook_delivery AS due SET
            attempt = due.attempt + 1, attempted_at = clock_timestamp(), not_before = until
        WHERE due.id = taken RETURNING due.*;
    END LOOP;
END
$$;

-- Over all tenants: webhooks that were disabled and that fail now, deliveries that wait, seconds the oldest is due.
CREATE FUNCTION securetag.count_webhooks()
RETURNS TABLE (disabled bigint, failing bigint, waiting bigint, oldest_s double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT
        (SELECT count(*) FROM securetag.webhook WHERE disabled_reason <> ''),
        count(DISTINCT webhook.id) FILTER (WHERE due.attempt > 0 AND due.error <> ''),
        count(due.id),
        greatest(0, extract(epoch FROM clock_timestamp() - min(due.not_before)))::double precision
    FROM securetag.webhook_delivery AS due JOIN securetag.webhook ON webhook.id = due.webhook_id
    WHERE due.finished_at IS NULL AND webhook.active
$$;

CREATE TRIGGER task_webhooks AFTER UPDATE OF state ON securetag.task
    FOR EACH ROW WHEN (
        OLD.state IS DISTINCT FROM NEW.state
        AND NEW.state IN ('completed', 'failed', 'timeout', 'dead_letter')
    )
    EXECUTE FUNCTION securetag.task_webhooks();

GRANT CREATE ON SCHEMA securetag TO securetag_gate;
ALTER FUNCTION securetag.add_deliveries(uuid, text, jsonb) OWNER TO securetag_gate;
ALTER FUNCTION securetag.task_webhooks() OWNER TO securetag_gate;
ALTER FUNCTION securetag.claim_deliveries(integer, double precision) OWNER TO securetag_gate;
ALTER FUNCTION securetag.count_webhooks() OWNER TO securetag_gate;
REVOKE CREATE ON SCHEMA securetag FROM securetag_gate;
SET LOCAL ROLE securetag_gate;
REVOKE ALL ON FUNCTION
    securetag.add_deliveries(uuid, text, jsonb), securetag.task_webhooks(),
    securetag.claim_deliveries(integer, double precision), securetag.count_webhooks()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    securetag.claim_deliveries(integer, double precision), securetag.count_webhooks()
    TO securetag_api;
SET LOCAL ROLE securetag_owner;
