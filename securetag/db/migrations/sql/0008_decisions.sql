-- How a verdict was given. The rows of a bulk decision share `bulk_id`; such a decision is one vote.
ALTER TABLE securetag.feedback ADD COLUMN bulk_id UUID;
ALTER TABLE securetag.feedback ADD COLUMN mode TEXT NOT NULL GENERATED ALWAYS AS (
    CASE WHEN bulk_id IS NOT NULL THEN 'bulk' WHEN saw_model THEN 'assisted' ELSE 'blind' END
) STORED;
ALTER TABLE securetag.feedback ADD CONSTRAINT uq_feedback_tenant_id_id UNIQUE (tenant_id, id);
CREATE INDEX ix_feedback_bulk_id ON securetag.feedback (bulk_id) WHERE bulk_id IS NOT NULL;

-- Feedback is never changed: a later row takes it back.
CREATE TABLE securetag.feedback_withdrawal (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    feedback_id UUID NOT NULL,
    saw_model BOOLEAN NOT NULL,
    reviewer TEXT NOT NULL,
    api_key_id UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_feedback_withdrawal PRIMARY KEY (id),
    CONSTRAINT uq_feedback_withdrawal_feedback_id UNIQUE (feedback_id),
    CONSTRAINT fk_feedback_withdrawal_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id),
    CONSTRAINT fk_feedback_withdrawal_tenant_id_feedback_id FOREIGN KEY(tenant_id, feedback_id)
        REFERENCES securetag.feedback (tenant_id, id),
    CONSTRAINT fk_feedback_withdrawal_tenant_id_api_key_id FOREIGN KEY(tenant_id, api_key_id)
        REFERENCES securetag.api_key (tenant_id, id)
);
ALTER TABLE securetag.feedback_withdrawal ENABLE ROW LEVEL SECURITY;
ALTER TABLE securetag.feedback_withdrawal FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON securetag.feedback_withdrawal TO securetag_api
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY consenting ON securetag.feedback_withdrawal FOR SELECT TO securetag_harvest
    USING (EXISTS (
        SELECT FROM securetag.consent
        WHERE consent.tenant_id = feedback_withdrawal.tenant_id AND consent.withdrawn_at IS NULL
    ));
GRANT SELECT, INSERT ON securetag.feedback_withdrawal TO securetag_api;
GRANT SELECT ON securetag.feedback_withdrawal TO securetag_harvest;

-- Who works on a finding, and what people note about it.
ALTER TABLE securetag.finding ADD COLUMN assignee TEXT;
CREATE INDEX ix_finding_tenant_id_assignee ON securetag.finding (tenant_id, assignee)
    WHERE assignee IS NOT NULL;
CREATE TABLE securetag.finding_note (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    finding_id UUID NOT NULL,
    text TEXT NOT NULL,
    author TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_finding_note PRIMARY KEY (id),
    CONSTRAINT fk_finding_note_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id),
    CONSTRAINT fk_finding_note_tenant_id_finding_id FOREIGN KEY(tenant_id, finding_id)
        REFERENCES securetag.finding (tenant_id, id)
);
CREATE INDEX ix_finding_note_finding_id_id ON securetag.finding_note (finding_id, id);
ALTER TABLE securetag.finding_note ENABLE ROW LEVEL SECURITY;
ALTER TABLE securetag.finding_note FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON securetag.finding_note TO securetag_api
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT ON securetag.finding_note TO securetag_api;
