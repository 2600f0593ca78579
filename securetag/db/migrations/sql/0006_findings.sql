-- Evidence: every rule that reports a place, how it ranks, what its file is for, and its data flow.
ALTER TABLE securetag.finding ADD COLUMN matches JSONB DEFAULT '[]' NOT NULL;
ALTER TABLE securetag.finding ADD COLUMN rank BIGINT DEFAULT '0' NOT NULL;
CREATE INDEX ix_finding_tenant_id_rank_id ON securetag.finding (tenant_id, (- rank), id);
ALTER TABLE securetag.finding_occurrence ADD COLUMN path_class TEXT DEFAULT 'source' NOT NULL
    CONSTRAINT ck_finding_occurrence_path_class
    CHECK (path_class IN ('source', 'test', 'example', 'vendored', 'generated'));
ALTER TABLE securetag.finding_occurrence ADD COLUMN trace JSONB DEFAULT '[]' NOT NULL;

-- Decisions: settings of a project, the gate of a model's verdict, states by branch, suppressions.
-- Null until somebody sets it or a branch is uploaded: then that one.
ALTER TABLE securetag.project ADD COLUMN default_branch TEXT;
ALTER TABLE securetag.project ADD COLUMN model_may_dismiss BOOLEAN DEFAULT false NOT NULL;
ALTER TABLE securetag.project ADD COLUMN allow_ignore_file BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE securetag.triage_verdict ADD COLUMN gate TEXT DEFAULT 'none' NOT NULL
    CONSTRAINT ck_triage_verdict_gate CHECK (gate IN ('production', 'demo', 'none'));
ALTER TABLE securetag.triage_verdict ADD COLUMN p_false_positive DOUBLE PRECISION
    CONSTRAINT ck_triage_verdict_p_false_positive CHECK (p_false_positive >= 0 AND p_false_positive <= 1);

CREATE TABLE securetag.finding_state (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    project_id UUID NOT NULL,
    finding_id UUID NOT NULL,
    branch TEXT NOT NULL,
    state TEXT NOT NULL,
    task_id UUID NOT NULL,
    seen_task_id UUID NOT NULL,
    since TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_finding_state PRIMARY KEY (id),
    CONSTRAINT uq_finding_state_finding_id_branch UNIQUE (finding_id, branch),
    CONSTRAINT ck_finding_state_state CHECK (state IN ('new', 'open', 'fixed', 'reopened')),
    CONSTRAINT fk_finding_state_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id),
    CONSTRAINT fk_finding_state_tenant_id_project_id FOREIGN KEY(tenant_id, project_id)
        REFERENCES securetag.project (tenant_id, id),
    CONSTRAINT fk_finding_state_tenant_id_finding_id FOREIGN KEY(tenant_id, finding_id)
        REFERENCES securetag.finding (tenant_id, id),
    CONSTRAINT fk_finding_state_tenant_id_task_id FOREIGN KEY(tenant_id, task_id)
        REFERENCES securetag.task (tenant_id, id),
    CONSTRAINT fk_finding_state_tenant_id_seen_task_id FOREIGN KEY(tenant_id, seen_task_id)
        REFERENCES securetag.task (tenant_id, id)
);
CREATE INDEX ix_finding_state_project_id_branch ON securetag.finding_state (project_id, branch);

-- What the newest completed scan of its kind reported is open, whatever else a project has is fixed.
-- Rows of every tenant: the owner sees them only while row-level security doesn't bind it.
ALTER TABLE securetag.project NO FORCE ROW LEVEL SECURITY;
ALTER TABLE securetag.task NO FORCE ROW LEVEL SECURITY;
ALTER TABLE securetag.finding NO FORCE ROW LEVEL SECURITY;
UPDATE securetag.project SET default_branch = 'main'
    WHERE EXISTS (SELECT FROM securetag.finding WHERE finding.project_id = project.id);
INSERT INTO securetag.finding_state
    (id, tenant_id, project_id, finding_id, branch, state, task_id, seen_task_id, since)
SELECT finding.id, finding.tenant_id, finding.project_id, finding.id, 'main',
    CASE WHEN newest.id > finding.last_task_id THEN 'fixed' ELSE 'open' END,
    coalesce(newest.id, finding.last_task_id), finding.last_task_id, finding.last_seen_at
FROM securetag.finding
JOIN securetag.task AS last_task ON last_task.id = finding.last_task_id
LEFT JOIN LATERAL (
    SELECT task.id FROM securetag.task
    WHERE task.project_id = finding.project_id AND task.kind = last_task.kind AND task.state = 'completed'
    ORDER BY task.finished_at DESC LIMIT 1
) AS newest ON true;
ALTER TABLE securetag.project FORCE ROW LEVEL SECURITY;
ALTER TABLE securetag.task FORCE ROW LEVEL SECURITY;
ALTER TABLE securetag.finding FORCE ROW LEVEL SECURITY;

ALTER TABLE securetag.finding_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE securetag.finding_state FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON securetag.finding_state TO securetag_api
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE ON securetag.finding_state TO securetag_api;

-- A suppression of one finding names it, and the code that was looked at. Older rows name none: they are
-- not in force, as they never were.
ALTER TABLE securetag.suppression ADD COLUMN finding_id UUID;
ALTER TABLE securetag.suppression ADD COLUMN occurrence_id UUID;
ALTER TABLE securetag.suppression ADD COLUMN path_pattern TEXT;
ALTER TABLE securetag.suppression ADD COLUMN owner TEXT DEFAULT '' NOT NULL;
ALTER TABLE securetag.suppression ADD COLUMN lapsed_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE securetag.suppression ADD COLUMN lapsed_task_id UUID;
ALTER TABLE securetag.suppression ADD CONSTRAINT fk_suppression_tenant_id_finding_id
    FOREIGN KEY(tenant_id, finding_id) REFERENCES securetag.finding (tenant_id, id);
ALTER TABLE securetag.suppression ADD CONSTRAINT fk_suppression_tenant_id_occurrence_id
    FOREIGN KEY(tenant_id, occurrence_id) REFERENCES securetag.finding_occurrence (tenant_id, id);
ALTER TABLE securetag.suppression ADD CONSTRAINT fk_suppression_tenant_id_lapsed_task_id
    FOREIGN KEY(tenant_id, lapsed_task_id) REFERENCES securetag.task (tenant_id, id);
CREATE INDEX ix_suppression_project_id ON securetag.suppression (project_id);

-- Identity: twins share a fingerprint, an occurrence keeps digests of its code, and a verdict can be stale.
ALTER TABLE securetag.finding DROP CONSTRAINT uq_finding_tenant_id_project_id_fingerprint;
CREATE INDEX ix_finding_project_id_fingerprint ON securetag.finding (tenant_id, project_id, fingerprint);
ALTER TABLE securetag.finding ADD COLUMN verdict_stale_task_id UUID;
ALTER TABLE securetag.finding_occurrence ADD COLUMN identity JSONB;
