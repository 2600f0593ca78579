SET LOCAL ROLE securetag_gate;
DROP FUNCTION securetag.delete_tenant(integer);
DROP FUNCTION securetag.delete_project(uuid, integer);
DROP FUNCTION securetag.delete_scan(uuid, integer);
DROP FUNCTION securetag.delete_tasks(uuid[]);
DROP FUNCTION securetag.delete_findings(uuid[]);
SET LOCAL ROLE securetag_owner;
DROP POLICY deletion ON securetag.tenant;
REVOKE UPDATE (name) ON securetag.tenant FROM securetag_gate;
REVOKE UPDATE (first_task_id, last_task_id) ON securetag.finding FROM securetag_gate;
REVOKE UPDATE (task_id, seen_task_id) ON securetag.finding_state FROM securetag_gate;
REVOKE UPDATE (occurrence_id, lapsed_task_id) ON securetag.suppression FROM securetag_gate;
REVOKE UPDATE (occurrence_id, verdict_id) ON securetag.feedback FROM securetag_gate;
REVOKE INSERT, UPDATE ON securetag.finding_listing, securetag.finding_cwe FROM securetag_gate;
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT relname FROM pg_catalog.pg_policy JOIN pg_catalog.pg_class ON pg_class.oid = polrelid
        WHERE relnamespace = 'securetag'::regnamespace AND polname = 'deletion'
    LOOP
        EXECUTE format('DROP POLICY deletion ON securetag.%I', name);
        EXECUTE format('REVOKE DELETE ON securetag.%I FROM securetag_gate', name);
        IF name NOT IN ('api_key', 'task') THEN
            EXECUTE format('REVOKE SELECT ON securetag.%I FROM securetag_gate', name);
        END IF;
    END LOOP;
END
$$;
REVOKE DELETE ON securetag.artifact, securetag.codeaudit_upload FROM securetag_api;
ALTER TABLE securetag.erasure_request DROP COLUMN deletes_findings;
