ALTER TABLE securetag.finding_state DROP COLUMN verdict_stale_task_id;
