-- Scans, findings, projects and what a tenant has can be deleted: by functions of the gate's alone, so that the
-- api itself can still change nothing of the history. Each sees the rows of the transaction's tenant, deletes
-- at most `most` findings or scans at a call, and says whether it is done. The log of who did what stays.
ALTER TABLE securetag.erasure_request ADD COLUMN deletes_findings BOOLEAN DEFAULT false NOT NULL;
GRANT DELETE ON securetag.artifact, securetag.codeaudit_upload TO securetag_api;

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT relname FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'securetag'::regnamespace AND relkind = 'r' AND attname = 'tenant_id'
            AND relname NOT IN ('audit_log', 'consent', 'erasure_request')
    LOOP
        EXECUTE format(
            'CREATE POLICY deletion ON securetag.%I TO securetag_gate '
            'USING (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)',
            name
        );
        EXECUTE format('GRANT SELECT, DELETE ON securetag.%I TO securetag_gate', name);
    END LOOP;
END
$$;
GRANT INSERT, UPDATE ON securetag.finding_listing, securetag.finding_cwe TO securetag_gate;
GRANT UPDATE (occurrence_id, verdict_id) ON securetag.feedback TO securetag_gate;
GRANT UPDATE (occurrence_id, lapsed_task_id) ON securetag.suppression TO securetag_gate;
GRANT UPDATE (task_id, seen_task_id) ON securetag.finding_state TO securetag_gate;
GRANT UPDATE (first_task_id, last_task_id) ON securetag.finding TO securetag_gate;
GRANT UPDATE (name) ON securetag.tenant TO securetag_gate;
CREATE POLICY deletion ON securetag.tenant FOR UPDATE TO securetag_gate
    USING (id = nullif(current_setting('app.tenant_id', true), '')::uuid);

CREATE FUNCTION securetag.delete_findings(ids uuid[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    caller uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    deleted bigint;
BEGIN
    DELETE FROM securetag.feedback_withdrawal USING securetag.feedback
        WHERE feedback.id = feedback_withdrawal.feedback_id AND feedback.finding_id = ANY (ids)
        AND feedback_withdrawal.tenant_id = caller;
    DELETE FROM securetag.feedback WHERE finding_id = ANY (ids) AND tenant_id = caller;
    DELETE FROM securetag.triage_verdict WHERE finding_id = ANY (ids) AND tenant_id = caller;
    DELETE FROM securetag.suppression WHERE finding_id = ANY (ids) AND tenant_id = caller;
    DELETE FROM securetag.training_use WHERE finding_id = ANY (ids) AND tenant_id = caller;
    DELETE FROM securetag.finding_note WHERE finding_id = ANY (ids) AND tenant_id = caller;
    DELETE FROM securetag.finding_state WHERE finding_id = ANY (ids) AND tenant_id = caller;
    DELETE FROM securetag.finding_occurrence WHERE finding_id = ANY (ids) AND tenant_id = caller;
    DELETE FROM securetag.finding WHERE id = ANY (ids) AND tenant_id = caller;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

-- What a scan leaves once its findings are gone: `named` are ended scans of the transaction's tenant.
CREATE FUNCTION securetag.delete_tasks(named uuid[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM securetag.scan_report WHERE task_id = ANY (named);
    DELETE FROM securetag.scan_result WHERE task_id = ANY (named);
    DELETE FROM securetag.tool_execution WHERE task_id = ANY (named);
    DELETE FROM securetag.artifact WHERE task_id = ANY (named);
    DELETE FROM securetag.codeaudit_upload WHERE task_id = ANY (named);
    DELETE FROM securetag.task_event WHERE task_id = ANY (named);
    DELETE FROM securetag.task WHERE id = ANY (named);
END
$$;

-- A finding that another scan has reported too stays, as the others show it.
CREATE FUNCTION securetag.delete_scan(scan uuid, most integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    caller uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    reported uuid[];
    shared uuid[];
BEGIN
    PERFORM FROM securetag.task WHERE id = scan AND tenant_id = caller FOR UPDATE;
    IF NOT FOUND THEN
        RETURN true;
    END IF;
    reported := ARRAY(
        SELECT finding_id FROM securetag.finding_occurrence WHERE task_id = scan LIMIT most
    );
    IF cardinality(reported) = 0 THEN
        UPDATE securetag.suppression SET lapsed_task_id = NULL WHERE lapsed_task_id = scan;
        UPDATE securetag.finding_state SET task_id = seen_task_id WHERE task_id = scan;
        PERFORM securetag.delete_tasks(ARRAY[scan]);
        RETURN true;
    END IF;
    shared := ARRAY(
        SELECT DISTINCT finding_id FROM securetag.finding_occurrence
        WHERE finding_id = ANY (reported) AND task_id <> scan
    );
    PERFORM securetag.delete_findings(
        ARRAY(SELECT id FROM unnest(reported) AS named (id) WHERE id <> ALL (shared))
    );
    UPDATE securetag.feedback SET occurrence_id = NULL, verdict_id = NULL
        FROM securetag.finding_occurrence AS gone
        WHERE gone.task_id = scan AND gone.finding_id = ANY (shared) AND feedback.occurrence_id = gone.id;
    UPDATE securetag.feedback SET verdict_id = NULL FROM securetag.triage_verdict AS gone
        WHERE gone.task_id = scan AND gone.finding_id = ANY (shared) AND feedback.verdict_id = gone.id;
    UPDATE securetag.suppression SET occurrence_id = NULL FROM securetag.finding_occurrence AS gone
        WHERE gone.task_id = scan AND gone.finding_id = ANY (shared) AND suppression.occurrence_id = gone.id;
    DELETE FROM securetag.triage_verdict WHERE task_id = scan AND finding_id = ANY (shared);
    DELETE FROM securetag.finding_occurrence WHERE task_id = scan AND finding_id = ANY (shared);
    -- A branch shows the newest of its other scans that reported the finding; without one it never had it.
    UPDATE securetag.finding_state SET seen_task_id = older.task_id,
            task_id = CASE WHEN finding_state.task_id = scan THEN older.task_id ELSE finding_state.task_id END
        FROM (
            SELECT state.id, (
                SELECT occurrence.task_id FROM securetag.finding_occurrence AS occurrence
                JOIN securetag.task ON task.id = occurrence.task_id
                JOIN securetag.project ON project.id = task.project_id
                WHERE occurrence.finding_id = state.finding_id
                    AND coalesce(task.params ->> 'branch', project.default_branch) = state.branch
                ORDER BY occurrence.id DESC LIMIT 1
            ) AS task_id
            FROM securetag.finding_state AS state
            WHERE state.seen_task_id = scan AND state.finding_id = ANY (shared)
        ) AS older
        WHERE finding_state.id = older.id AND older.task_id IS NOT NULL;
    DELETE FROM securetag.finding_state WHERE seen_task_id = scan AND finding_id = ANY (shared);
    UPDATE securetag.finding SET first_task_id = seen.tasks[1], last_task_id = seen.tasks[cardinality(seen.tasks)]
        FROM (
            SELECT finding_id, array_agg(task_id ORDER BY id) AS tasks FROM securetag.finding_occurrence
            WHERE finding_id = ANY (shared) GROUP BY finding_id
        ) AS seen
        WHERE finding.id = seen.finding_id AND (first_task_id = scan OR last_task_id = scan);
    RETURN false;
END
$$;

CREATE FUNCTION securetag.delete_project(named uuid, most integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    caller uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    ids uuid[];
BEGIN
    ids := ARRAY(
        SELECT id FROM securetag.finding WHERE project_id = named AND tenant_id = caller LIMIT most
    );
    IF cardinality(ids) > 0 THEN
        PERFORM securetag.delete_findings(ids);
        RETURN false;
    END IF;
    DELETE FROM securetag.suppression WHERE project_id = named AND tenant_id = caller;
    ids := ARRAY(SELECT id FROM securetag.task WHERE project_id = named AND tenant_id = caller LIMIT 20);
    IF cardinality(ids) > 0 THEN
        PERFORM securetag.delete_tasks(ids);
        RETURN false;
    END IF;
    DELETE FROM securetag.project WHERE id = named AND tenant_id = caller;
    RETURN true;
END
$$;

-- All that the transaction's tenant has, its keys too. Its row stays, without its name, for the erasures that
-- are still to be worked off, and so do they, its consents and its log.
CREATE FUNCTION securetag.delete_tenant(most integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    caller uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    project uuid;
BEGIN
    SELECT id INTO project FROM securetag.project WHERE tenant_id = caller LIMIT 1;
    IF FOUND THEN
        PERFORM securetag.delete_project(project, most);
        RETURN false;
    END IF;
    DELETE FROM securetag.web_target WHERE tenant_id = caller;
    DELETE FROM securetag.webhook_delivery WHERE tenant_id = caller;
    DELETE FROM securetag.webhook WHERE tenant_id = caller;
    DELETE FROM securetag.idempotency_key WHERE tenant_id = caller;
    DELETE FROM securetag.quota_usage WHERE tenant_id = caller;
    DELETE FROM securetag.api_key WHERE tenant_id = caller;
    UPDATE securetag.tenant SET name = 'deleted:' || id WHERE id = caller;
    RETURN true;
END
$$;

GRANT CREATE ON SCHEMA securetag TO securetag_gate;
ALTER FUNCTION securetag.delete_findings(uuid[]) OWNER TO securetag_gate;
ALTER FUNCTION securetag.delete_tasks(uuid[]) OWNER TO securetag_gate;
ALTER FUNCTION securetag.delete_scan(uuid, integer) OWNER TO securetag_gate;
ALTER FUNCTION securetag.delete_project(uuid, integer) OWNER TO securetag_gate;
ALTER FUNCTION securetag.delete_tenant(integer) OWNER TO securetag_gate;
REVOKE CREATE ON SCHEMA securetag FROM securetag_gate;
SET LOCAL ROLE securetag_gate;
REVOKE ALL ON FUNCTION
    securetag.delete_findings(uuid[]), securetag.delete_tasks(uuid[]), securetag.delete_scan(uuid, integer),
    securetag.delete_project(uuid, integer), securetag.delete_tenant(integer)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    securetag.delete_findings(uuid[]), securetag.delete_scan(uuid, integer),
    securetag.delete_project(uuid, integer), securetag.delete_tenant(integer)
    TO securetag_api;
SET LOCAL ROLE securetag_owner;
