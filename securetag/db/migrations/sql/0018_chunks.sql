-- What an attempt has found is stored in chunks, each with a row of its own. Older rows are of whole reports.
ALTER TABLE securetag.scan_report
    ADD COLUMN chunk BIGINT DEFAULT 0 NOT NULL,
    ADD COLUMN is_last BOOLEAN,
    ADD COLUMN findings BIGINT,
    ADD COLUMN awaiting BIGINT;
ALTER TABLE securetag.scan_report NO FORCE ROW LEVEL SECURITY;
UPDATE securetag.scan_report
    SET is_last = true, findings = cardinality(occurrence_ids), awaiting = cardinality(awaiting_ids);
ALTER TABLE securetag.scan_report FORCE ROW LEVEL SECURITY;
ALTER TABLE securetag.scan_report
    ALTER COLUMN is_last SET NOT NULL,
    ALTER COLUMN findings SET NOT NULL,
    ALTER COLUMN awaiting SET NOT NULL,
    DROP CONSTRAINT uq_scan_report_task_id_fence,
    ADD CONSTRAINT uq_scan_report_task_id_fence_chunk UNIQUE (task_id, fence, chunk);
