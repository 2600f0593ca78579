-- Where a tenant's code may go: the farthest place whose models may be shown it.
ALTER TABLE securetag.tenant ADD COLUMN model_policy TEXT DEFAULT 'local' NOT NULL
    CONSTRAINT ck_tenant_model_policy CHECK (model_policy IN ('local', 'operator', 'third_party'));
GRANT UPDATE (model_policy) ON securetag.tenant TO securetag_api;
