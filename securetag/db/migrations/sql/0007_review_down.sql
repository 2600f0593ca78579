REVOKE UPDATE (model_policy) ON securetag.tenant FROM securetag_api;
ALTER TABLE securetag.tenant DROP COLUMN model_policy;
