-- Where a tenant's code may go: the farthest place whose models may be shown it.
ALTER TABLE securetag.tenant ADD COLUMN model_policy TEXT DEFAULT 'local' NOT NULL
    CONSTRAINT ck_tenant_model_policy CHECK (model_policy IN ('local', 'operator', 'third_party'));
GRANT UPDATE (model_policy) ON securetag.tenant TO securetag_api;

-- Imported findings: a kind of task of their own, which older workers don't take.
ALTER TABLE securetag.task DROP CONSTRAINT ck_task_kind;
ALTER TABLE securetag.task ADD CONSTRAINT ck_task_kind CHECK (kind IN ('codeaudit', 'web', 'import'));
