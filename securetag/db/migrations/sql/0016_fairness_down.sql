SET LOCAL ROLE securetag_gate;
DROP FUNCTION securetag.claim(text, text[], double precision, bigint);
SET LOCAL ROLE securetag_owner;
DROP INDEX securetag.ix_task_turn;
DROP INDEX securetag.ix_task_running;
DROP INDEX securetag.ix_task_claimable;
CREATE INDEX ix_task_claimable ON securetag.task (not_before, id) WHERE state IN ('queued', 'retrying');
REVOKE UPDATE (quotas) ON securetag.tenant FROM securetag_api;
ALTER TABLE securetag.tenant DROP COLUMN quotas;
ALTER TABLE securetag.task DROP COLUMN priority;
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
GRANT CREATE ON SCHEMA securetag TO securetag_gate;
ALTER FUNCTION securetag.claim(text, text[], double precision) OWNER TO securetag_gate;
REVOKE CREATE ON SCHEMA securetag FROM securetag_gate;
SET LOCAL ROLE securetag_gate;
REVOKE ALL ON FUNCTION securetag.claim(text, text[], double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION securetag.claim(text, text[], double precision) TO securetag_api;
SET LOCAL ROLE securetag_owner;
