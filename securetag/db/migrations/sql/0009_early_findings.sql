-- What an attempt has reported before its findings were triaged.
CREATE TABLE securetag.scan_report (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    task_id UUID NOT NULL,
    fence BIGINT NOT NULL,
    occurrence_ids UUID[] NOT NULL,
    awaiting_ids UUID[] NOT NULL,
    by_severity JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_scan_report PRIMARY KEY (id),
    CONSTRAINT fk_scan_report_tenant_id_task_id FOREIGN KEY(tenant_id, task_id)
        REFERENCES securetag.task (tenant_id, id),
    CONSTRAINT uq_scan_report_task_id_fence UNIQUE (task_id, fence),
    CONSTRAINT fk_scan_report_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);

ALTER TABLE securetag.scan_report ENABLE ROW LEVEL SECURITY;
ALTER TABLE securetag.scan_report FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON securetag.scan_report TO securetag_api
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT ON securetag.scan_report TO securetag_api;
