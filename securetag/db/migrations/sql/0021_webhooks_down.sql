DROP TRIGGER task_webhooks ON securetag.task;
SET LOCAL ROLE securetag_gate;
DROP FUNCTION securetag.count_webhooks();
DROP FUNCTION securetag.claim_deliveries(integer, double precision);
DROP FUNCTION securetag.task_webhooks();
DROP FUNCTION securetag.add_deliveries(uuid, text, jsonb);
SET LOCAL ROLE securetag_owner;
DROP FUNCTION securetag.make_uuid7();
REVOKE INSERT, UPDATE (attempt, attempted_at, not_before) ON securetag.webhook_delivery FROM securetag_gate;
REVOKE UPDATE (busy_until) ON securetag.webhook FROM securetag_gate;
DROP POLICY gate_reads ON securetag.project;
DROP POLICY gate_adds ON securetag.webhook_delivery;
DROP POLICY gate_moves ON securetag.webhook_delivery;
DROP POLICY gate_reads ON securetag.webhook_delivery;
DROP POLICY gate_moves ON securetag.webhook;
DROP POLICY gate_reads ON securetag.webhook;
REVOKE DELETE ON securetag.webhook_delivery FROM securetag_api;
DROP INDEX securetag.ix_webhook_delivery_webhook_id_id;
DROP INDEX securetag.ix_webhook_delivery_due;
CREATE INDEX ix_webhook_delivery_due ON securetag.webhook_delivery (not_before) WHERE finished_at IS NULL;
ALTER TABLE securetag.webhook_delivery DROP COLUMN attempted_at;
ALTER TABLE securetag.webhook
    DROP COLUMN previous_secret, DROP COLUMN previous_until, DROP COLUMN failures,
    DROP COLUMN disabled_reason, DROP COLUMN busy_until;
