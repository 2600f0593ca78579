-- Which models were published, and by which gate. It holds nothing of any tenant.
CREATE TABLE securetag.model (
    model_id TEXT NOT NULL,
    name TEXT NOT NULL,
    file_sha256 TEXT NOT NULL,
    base TEXT NOT NULL,
    release TEXT,
    gate TEXT NOT NULL,
    report JSONB NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE NOT NULL,
    published_by TEXT NOT NULL,
    CONSTRAINT pk_model PRIMARY KEY (model_id),
    CONSTRAINT ck_model_gate CHECK (gate IN ('production', 'demo', 'none'))
);
CREATE INDEX ix_model_release ON securetag.model (release);
GRANT SELECT ON securetag.model TO securetag_api;
GRANT SELECT, INSERT, UPDATE ON securetag.model TO securetag_harvest;

-- Which findings of a tenant are in which release.
CREATE TABLE securetag.training_use (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    finding_id UUID NOT NULL,
    release TEXT NOT NULL,
    split TEXT NOT NULL,
    examples BIGINT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_training_use PRIMARY KEY (id),
    CONSTRAINT uq_training_use_finding_id_release_split UNIQUE (finding_id, release, split),
    CONSTRAINT ck_training_use_split CHECK (split IN ('train', 'validation', 'test')),
    CONSTRAINT fk_training_use_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id),
    CONSTRAINT fk_training_use_tenant_id_finding_id FOREIGN KEY(tenant_id, finding_id)
        REFERENCES securetag.finding (tenant_id, id)
);
ALTER TABLE securetag.training_use ENABLE ROW LEVEL SECURITY;
ALTER TABLE securetag.training_use FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON securetag.training_use TO securetag_api
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
-- What was recorded stays when a consent ends; nothing is recorded for a tenant without one.
CREATE POLICY consenting ON securetag.training_use TO securetag_harvest
    USING (EXISTS (
        SELECT FROM securetag.consent
        WHERE consent.tenant_id = training_use.tenant_id AND consent.withdrawn_at IS NULL
    ));
GRANT SELECT ON securetag.training_use TO securetag_api;
GRANT SELECT, INSERT, UPDATE ON securetag.training_use TO securetag_harvest;
