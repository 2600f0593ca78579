ALTER TABLE securetag.finding_occurrence DROP COLUMN identity;
ALTER TABLE securetag.finding DROP COLUMN verdict_stale_task_id;
DROP INDEX securetag.ix_finding_project_id_fingerprint;
-- Every twin but the oldest gets a fingerprint of its own.
ALTER TABLE securetag.finding NO FORCE ROW LEVEL SECURITY;
UPDATE securetag.finding AS twin
SET fingerprint = fingerprint_version || ':' || encode(sha256(convert_to(id::text, 'UTF8')), 'hex')
WHERE EXISTS (
    SELECT FROM securetag.finding AS older
    WHERE (older.tenant_id, older.project_id, older.fingerprint)
        = (twin.tenant_id, twin.project_id, twin.fingerprint)
        AND older.id < twin.id
);
ALTER TABLE securetag.finding FORCE ROW LEVEL SECURITY;
ALTER TABLE securetag.finding ADD CONSTRAINT uq_finding_tenant_id_project_id_fingerprint
    UNIQUE (tenant_id, project_id, fingerprint);

DROP INDEX securetag.ix_suppression_project_id;
ALTER TABLE securetag.suppression DROP COLUMN lapsed_task_id;
ALTER TABLE securetag.suppression DROP COLUMN lapsed_at;
ALTER TABLE securetag.suppression DROP COLUMN owner;
ALTER TABLE securetag.suppression DROP COLUMN path_pattern;
ALTER TABLE securetag.suppression DROP COLUMN occurrence_id;
ALTER TABLE securetag.suppression DROP COLUMN finding_id;
DROP TABLE securetag.finding_state;
ALTER TABLE securetag.triage_verdict DROP COLUMN p_false_positive;
ALTER TABLE securetag.triage_verdict DROP COLUMN gate;
ALTER TABLE securetag.project DROP COLUMN allow_ignore_file;
ALTER TABLE securetag.project DROP COLUMN model_may_dismiss;
ALTER TABLE securetag.project DROP COLUMN default_branch;

ALTER TABLE securetag.finding_occurrence DROP COLUMN trace;
ALTER TABLE securetag.finding_occurrence DROP COLUMN path_class;
DROP INDEX securetag.ix_finding_tenant_id_rank_id;
ALTER TABLE securetag.finding DROP COLUMN rank;
ALTER TABLE securetag.finding DROP COLUMN matches;
