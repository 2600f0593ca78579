-- Where a finding stands in a web application, and the targets that a tenant may scan.

ALTER TABLE securetag.finding_occurrence ADD COLUMN web JSONB;

CREATE TABLE securetag.web_target (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    origin TEXT NOT NULL,
    token TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    verified_at TIMESTAMP WITH TIME ZONE,
    verified_by TEXT,
    CONSTRAINT pk_web_target PRIMARY KEY (id),
    CONSTRAINT uq_web_target_tenant_id_origin UNIQUE (tenant_id, origin),
    CONSTRAINT ck_web_target_verified_by CHECK (verified_by IN ('dns', 'file')),
    CONSTRAINT fk_web_target_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id)
);

ALTER TABLE securetag.web_target ENABLE ROW LEVEL SECURITY;
ALTER TABLE securetag.web_target FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON securetag.web_target TO securetag_api
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON securetag.web_target TO securetag_api;
