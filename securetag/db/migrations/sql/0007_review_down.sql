-- Fails while there are imports: their rows have no place in the older version.
ALTER TABLE securetag.task DROP CONSTRAINT ck_task_kind;
ALTER TABLE securetag.task ADD CONSTRAINT ck_task_kind CHECK (kind IN ('codeaudit', 'web'));

REVOKE UPDATE (model_policy) ON securetag.tenant FROM securetag_api;
ALTER TABLE securetag.tenant DROP COLUMN model_policy;
