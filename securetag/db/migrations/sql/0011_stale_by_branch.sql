-- Whether a verdict holds depends on the code that a branch has.
ALTER TABLE securetag.finding_state ADD COLUMN verdict_stale_task_id UUID;
-- Until now that of the newest scan of any branch; each branch's next scan says it anew.
ALTER TABLE securetag.finding NO FORCE ROW LEVEL SECURITY;
ALTER TABLE securetag.finding_state NO FORCE ROW LEVEL SECURITY;
UPDATE securetag.finding_state AS state SET verdict_stale_task_id = finding.verdict_stale_task_id
FROM securetag.finding WHERE finding.id = state.finding_id AND finding.verdict_stale_task_id IS NOT NULL;
ALTER TABLE securetag.finding FORCE ROW LEVEL SECURITY;
ALTER TABLE securetag.finding_state FORCE ROW LEVEL SECURITY;
