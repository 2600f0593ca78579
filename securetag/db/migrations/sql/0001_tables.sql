-- Generated once from the models and frozen; later changes are migrations of their own.
-- securetag_owner runs this in the schema `securetag`.

CREATE SEQUENCE securetag.task_fence AS BIGINT;

CREATE TABLE securetag.tenant (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_tenant PRIMARY KEY (id),
    CONSTRAINT uq_tenant_name UNIQUE (name)
);

CREATE TABLE securetag.worker_heartbeat (
    worker_id TEXT NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    task_id UUID,
    stage TEXT DEFAULT '' NOT NULL,
    process_group BIGINT,
    CONSTRAINT pk_worker_heartbeat PRIMARY KEY (worker_id)
);

CREATE TABLE securetag.api_key (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    digest BYTEA NOT NULL,
    scopes TEXT[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    last_used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_api_key PRIMARY KEY (id),
    CONSTRAINT uq_api_key_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT ck_api_key_prefix CHECK (prefix ~ '^[A-Za-z0-9_-]{12}$'),
    CONSTRAINT ck_api_key_digest CHECK (octet_length(digest) = 32),
    CONSTRAINT fk_api_key_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id),
    CONSTRAINT uq_api_key_prefix UNIQUE (prefix)
);

CREATE TABLE securetag.audit_log (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT DEFAULT '' NOT NULL,
    detail JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_audit_log PRIMARY KEY (id),
    CONSTRAINT fk_audit_log_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);
CREATE INDEX ix_audit_log_tenant_id_id ON securetag.audit_log (tenant_id, id);

CREATE TABLE securetag.consent (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    granted_by TEXT NOT NULL,
    granted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    withdrawn_by TEXT,
    withdrawn_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_consent PRIMARY KEY (id),
    CONSTRAINT fk_consent_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);
CREATE UNIQUE INDEX uq_consent_in_force ON securetag.consent (tenant_id) WHERE withdrawn_at IS NULL;

CREATE TABLE securetag.erasure_request (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    finding_id UUID,
    project_id UUID,
    requested_by TEXT NOT NULL,
    requested_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    completed_at TIMESTAMP WITH TIME ZONE,
    detail JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_erasure_request PRIMARY KEY (id),
    CONSTRAINT fk_erasure_request_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);

CREATE TABLE securetag.idempotency_key (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    operation TEXT NOT NULL,
    key TEXT NOT NULL,
    request_sha256 TEXT NOT NULL,
    status BIGINT,
    response JSONB,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_idempotency_key PRIMARY KEY (id),
    CONSTRAINT uq_idempotency_key_tenant_id_operation_key UNIQUE (tenant_id, operation, key),
    CONSTRAINT fk_idempotency_key_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);

CREATE TABLE securetag.project (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_project PRIMARY KEY (id),
    CONSTRAINT uq_project_tenant_id_name UNIQUE (tenant_id, name),
    CONSTRAINT uq_project_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_project_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);

CREATE TABLE securetag.quota_usage (
    tenant_id UUID NOT NULL,
    period DATE NOT NULL,
    metric TEXT NOT NULL,
    used BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_quota_usage PRIMARY KEY (tenant_id, period, metric),
    CONSTRAINT fk_quota_usage_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);

CREATE TABLE securetag.webhook (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    url TEXT NOT NULL,
    secret TEXT NOT NULL,
    events TEXT[] NOT NULL,
    active BOOLEAN DEFAULT true NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_webhook PRIMARY KEY (id),
    CONSTRAINT uq_webhook_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_webhook_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);

CREATE TABLE securetag.suppression (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    project_id UUID,
    fingerprint TEXT,
    rule_id TEXT,
    path_glob TEXT,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_suppression PRIMARY KEY (id),
    CONSTRAINT fk_suppression_tenant_id_project_id FOREIGN KEY(tenant_id, project_id) REFERENCES securetag.project (tenant_id, id),
    CONSTRAINT ck_suppression_matches_something CHECK (num_nonnulls(fingerprint, rule_id, path_glob) > 0),
    CONSTRAINT fk_suppression_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);

CREATE TABLE securetag.task (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    project_id UUID NOT NULL,
    kind TEXT NOT NULL,
    state TEXT DEFAULT 'queued' NOT NULL,
    params JSONB DEFAULT '{}' NOT NULL,
    attempt BIGINT DEFAULT '0' NOT NULL,
    max_attempts BIGINT DEFAULT '3' NOT NULL,
    time_limit_s BIGINT DEFAULT '1800' NOT NULL,
    not_before TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    worker_id TEXT,
    fence BIGINT,
    lease_until TIMESTAMP WITH TIME ZONE,
    claimed_at TIMESTAMP WITH TIME ZONE,
    stage TEXT DEFAULT '' NOT NULL,
    process_group BIGINT,
    reason TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_task PRIMARY KEY (id),
    CONSTRAINT uq_task_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_task_tenant_id_project_id FOREIGN KEY(tenant_id, project_id) REFERENCES securetag.project (tenant_id, id),
    CONSTRAINT ck_task_kind CHECK (kind IN ('codeaudit', 'web')),
    CONSTRAINT ck_task_state CHECK (state IN ('queued', 'running', 'retrying', 'completed', 'failed', 'timeout', 'dead_letter', 'cancelled')),
    CONSTRAINT ck_task_attempt CHECK (attempt >= 0 AND attempt <= max_attempts),
    CONSTRAINT ck_task_lease CHECK (state <> 'running' OR (worker_id IS NOT NULL AND fence IS NOT NULL AND lease_until IS NOT NULL)),
    CONSTRAINT fk_task_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);
CREATE INDEX ix_task_claimable ON securetag.task (not_before, id) WHERE state IN ('queued', 'retrying');
CREATE INDEX ix_task_leased ON securetag.task (lease_until) WHERE state = 'running';
CREATE INDEX ix_task_tenant_id_kind_id ON securetag.task (tenant_id, kind, id);

CREATE TABLE securetag.webhook_delivery (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    webhook_id UUID NOT NULL,
    event TEXT NOT NULL,
    payload JSONB NOT NULL,
    attempt BIGINT DEFAULT '0' NOT NULL,
    not_before TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    status BIGINT,
    error TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_webhook_delivery PRIMARY KEY (id),
    CONSTRAINT fk_webhook_delivery_tenant_id_webhook_id FOREIGN KEY(tenant_id, webhook_id) REFERENCES securetag.webhook (tenant_id, id),
    CONSTRAINT fk_webhook_delivery_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);
CREATE INDEX ix_webhook_delivery_due ON securetag.webhook_delivery (not_before) WHERE finished_at IS NULL;

CREATE TABLE securetag.artifact (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    task_id UUID NOT NULL,
    name TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    size BIGINT NOT NULL,
    storage_key TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_artifact PRIMARY KEY (id),
    CONSTRAINT fk_artifact_tenant_id_task_id FOREIGN KEY(tenant_id, task_id) REFERENCES securetag.task (tenant_id, id),
    CONSTRAINT uq_artifact_task_id_name UNIQUE (task_id, name),
    CONSTRAINT fk_artifact_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);

CREATE TABLE securetag.codeaudit_upload (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    project_id UUID NOT NULL,
    task_id UUID NOT NULL,
    filename TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size BIGINT NOT NULL,
    storage_key TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_codeaudit_upload PRIMARY KEY (id),
    CONSTRAINT fk_codeaudit_upload_tenant_id_task_id FOREIGN KEY(tenant_id, task_id) REFERENCES securetag.task (tenant_id, id),
    CONSTRAINT fk_codeaudit_upload_tenant_id_project_id FOREIGN KEY(tenant_id, project_id) REFERENCES securetag.project (tenant_id, id),
    CONSTRAINT uq_codeaudit_upload_task_id UNIQUE (task_id),
    CONSTRAINT fk_codeaudit_upload_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);

CREATE TABLE securetag.finding (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    project_id UUID NOT NULL,
    fingerprint TEXT NOT NULL,
    fingerprint_version TEXT NOT NULL,
    tool TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    cwe TEXT NOT NULL,
    owasp TEXT DEFAULT '' NOT NULL,
    title TEXT NOT NULL,
    message TEXT NOT NULL,
    recommendation TEXT DEFAULT '' NOT NULL,
    severity TEXT NOT NULL,
    confidence TEXT NOT NULL,
    language TEXT NOT NULL,
    first_task_id UUID NOT NULL,
    last_task_id UUID NOT NULL,
    first_seen_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    last_seen_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_finding PRIMARY KEY (id),
    CONSTRAINT uq_finding_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_finding_tenant_id_project_id FOREIGN KEY(tenant_id, project_id) REFERENCES securetag.project (tenant_id, id),
    CONSTRAINT fk_finding_tenant_id_first_task_id FOREIGN KEY(tenant_id, first_task_id) REFERENCES securetag.task (tenant_id, id),
    CONSTRAINT fk_finding_tenant_id_last_task_id FOREIGN KEY(tenant_id, last_task_id) REFERENCES securetag.task (tenant_id, id),
    CONSTRAINT uq_finding_tenant_id_project_id_fingerprint UNIQUE (tenant_id, project_id, fingerprint),
    CONSTRAINT ck_finding_severity CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    CONSTRAINT ck_finding_confidence CHECK (confidence IN ('low', 'medium', 'high')),
    CONSTRAINT fk_finding_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);
CREATE INDEX ix_finding_tenant_id_severity_id ON securetag.finding (tenant_id, severity, id);

CREATE TABLE securetag.scan_result (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    task_id UUID NOT NULL,
    findings BIGINT NOT NULL,
    by_severity JSONB NOT NULL,
    by_verdict JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_scan_result PRIMARY KEY (id),
    CONSTRAINT fk_scan_result_tenant_id_task_id FOREIGN KEY(tenant_id, task_id) REFERENCES securetag.task (tenant_id, id),
    CONSTRAINT uq_scan_result_task_id UNIQUE (task_id),
    CONSTRAINT fk_scan_result_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);

CREATE TABLE securetag.task_event (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id UUID NOT NULL,
    task_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    fence BIGINT,
    worker_id TEXT,
    reason TEXT DEFAULT '' NOT NULL,
    CONSTRAINT pk_task_event PRIMARY KEY (id),
    CONSTRAINT fk_task_event_tenant_id_task_id FOREIGN KEY(tenant_id, task_id) REFERENCES securetag.task (tenant_id, id),
    CONSTRAINT fk_task_event_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);
CREATE INDEX ix_task_event_task_id_id ON securetag.task_event (task_id, id);

CREATE TABLE securetag.tool_execution (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    task_id UUID NOT NULL,
    attempt BIGINT NOT NULL,
    tool TEXT NOT NULL,
    version TEXT NOT NULL,
    arguments TEXT[] NOT NULL,
    exit_code BIGINT,
    duration_s DOUBLE PRECISION NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    timed_out BOOLEAN NOT NULL,
    stdout TEXT,
    stderr TEXT,
    metrics_json JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_tool_execution PRIMARY KEY (id),
    CONSTRAINT fk_tool_execution_tenant_id_task_id FOREIGN KEY(tenant_id, task_id) REFERENCES securetag.task (tenant_id, id),
    CONSTRAINT fk_tool_execution_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);
CREATE INDEX ix_tool_execution_task_id ON securetag.tool_execution (task_id);

CREATE TABLE securetag.finding_occurrence (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    finding_id UUID NOT NULL,
    task_id UUID NOT NULL,
    path TEXT NOT NULL,
    start_line BIGINT NOT NULL,
    end_line BIGINT NOT NULL,
    snippet TEXT NOT NULL,
    snippet_line BIGINT NOT NULL,
    scope TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_finding_occurrence PRIMARY KEY (id),
    CONSTRAINT uq_finding_occurrence_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_finding_occurrence_tenant_id_finding_id FOREIGN KEY(tenant_id, finding_id) REFERENCES securetag.finding (tenant_id, id),
    CONSTRAINT fk_finding_occurrence_tenant_id_task_id FOREIGN KEY(tenant_id, task_id) REFERENCES securetag.task (tenant_id, id),
    CONSTRAINT uq_finding_occurrence_task_id_finding_id UNIQUE (task_id, finding_id),
    CONSTRAINT fk_finding_occurrence_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);
CREATE INDEX ix_finding_occurrence_finding_id_id ON securetag.finding_occurrence (finding_id, id);

CREATE TABLE securetag.triage_verdict (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    finding_id UUID NOT NULL,
    occurrence_id UUID NOT NULL,
    task_id UUID NOT NULL,
    decision TEXT NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    evidence JSONB DEFAULT '[]' NOT NULL,
    reasoning TEXT DEFAULT '' NOT NULL,
    recommendation TEXT DEFAULT '' NOT NULL,
    model_id TEXT DEFAULT '' NOT NULL,
    alias TEXT DEFAULT '' NOT NULL,
    prompt_sha256 TEXT DEFAULT '' NOT NULL,
    prompt_version TEXT DEFAULT '' NOT NULL,
    schema_version BIGINT DEFAULT '1' NOT NULL,
    lang TEXT DEFAULT 'en' NOT NULL,
    prompt_tokens BIGINT DEFAULT '0' NOT NULL,
    completion_tokens BIGINT DEFAULT '0' NOT NULL,
    duration_ms BIGINT DEFAULT '0' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_triage_verdict PRIMARY KEY (id),
    CONSTRAINT uq_triage_verdict_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_triage_verdict_tenant_id_finding_id FOREIGN KEY(tenant_id, finding_id) REFERENCES securetag.finding (tenant_id, id),
    CONSTRAINT fk_triage_verdict_tenant_id_occurrence_id FOREIGN KEY(tenant_id, occurrence_id) REFERENCES securetag.finding_occurrence (tenant_id, id),
    CONSTRAINT fk_triage_verdict_tenant_id_task_id FOREIGN KEY(tenant_id, task_id) REFERENCES securetag.task (tenant_id, id),
    CONSTRAINT ck_triage_verdict_decision CHECK (decision IN ('true_positive', 'false_positive', 'needs_review')),
    CONSTRAINT fk_triage_verdict_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);
CREATE INDEX ix_triage_verdict_finding_id_id ON securetag.triage_verdict (finding_id, id);
CREATE INDEX ix_triage_verdict_occurrence_id ON securetag.triage_verdict (occurrence_id);

CREATE TABLE securetag.feedback (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    finding_id UUID NOT NULL,
    occurrence_id UUID,
    verdict_id UUID,
    verdict TEXT NOT NULL,
    disposition TEXT,
    comment TEXT DEFAULT '' NOT NULL,
    saw_model BOOLEAN NOT NULL,
    source TEXT DEFAULT 'person' NOT NULL,
    reviewer TEXT NOT NULL,
    api_key_id UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_feedback PRIMARY KEY (id),
    CONSTRAINT fk_feedback_tenant_id_finding_id FOREIGN KEY(tenant_id, finding_id) REFERENCES securetag.finding (tenant_id, id),
    CONSTRAINT fk_feedback_tenant_id_occurrence_id FOREIGN KEY(tenant_id, occurrence_id) REFERENCES securetag.finding_occurrence (tenant_id, id),
    CONSTRAINT fk_feedback_tenant_id_verdict_id FOREIGN KEY(tenant_id, verdict_id) REFERENCES securetag.triage_verdict (tenant_id, id),
    CONSTRAINT fk_feedback_tenant_id_api_key_id FOREIGN KEY(tenant_id, api_key_id) REFERENCES securetag.api_key (tenant_id, id),
    CONSTRAINT ck_feedback_verdict CHECK (verdict IN ('true_positive', 'false_positive', 'needs_review')),
    CONSTRAINT ck_feedback_disposition CHECK (disposition IN ('fix', 'accept_risk', 'test_code', 'mitigated_elsewhere', 'duplicate')),
    CONSTRAINT ck_feedback_source CHECK (source IN ('person', 'script')),
    CONSTRAINT fk_feedback_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);
CREATE INDEX ix_feedback_finding_id_id ON securetag.feedback (finding_id, id);
