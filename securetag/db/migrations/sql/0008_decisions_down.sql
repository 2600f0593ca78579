DROP TABLE securetag.finding_note;
DROP INDEX securetag.ix_finding_tenant_id_assignee;
ALTER TABLE securetag.finding DROP COLUMN assignee;

-- A verdict that was withdrawn must not count again: it goes with the record of its withdrawal.
ALTER TABLE securetag.feedback NO FORCE ROW LEVEL SECURITY;
ALTER TABLE securetag.feedback_withdrawal NO FORCE ROW LEVEL SECURITY;
CREATE TEMPORARY TABLE withdrawn ON COMMIT DROP AS SELECT feedback_id FROM securetag.feedback_withdrawal;
DROP TABLE securetag.feedback_withdrawal;
DELETE FROM securetag.feedback WHERE id IN (SELECT feedback_id FROM withdrawn);
ALTER TABLE securetag.feedback FORCE ROW LEVEL SECURITY;

DROP INDEX securetag.ix_feedback_bulk_id;
ALTER TABLE securetag.feedback DROP CONSTRAINT uq_feedback_tenant_id_id;
ALTER TABLE securetag.feedback DROP COLUMN mode;
ALTER TABLE securetag.feedback DROP COLUMN bulk_id;
