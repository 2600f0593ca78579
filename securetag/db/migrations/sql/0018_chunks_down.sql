-- The chunks of a report become one row again; of a report that isn't whole nothing is kept.
ALTER TABLE securetag.scan_report NO FORCE ROW LEVEL SECURITY;
DELETE FROM securetag.scan_report AS part WHERE NOT EXISTS (
    SELECT FROM securetag.scan_report AS last
    WHERE last.task_id = part.task_id AND last.fence = part.fence AND last.is_last
);
UPDATE securetag.scan_report AS first
    SET occurrence_ids = whole.occurrence_ids, awaiting_ids = whole.awaiting_ids,
        by_severity = whole.by_severity
    FROM (
        SELECT part.task_id, part.fence,
            coalesce(array_agg(item.id ORDER BY part.chunk, item.at) FILTER (WHERE item.id IS NOT NULL), '{}')
                AS occurrence_ids,
            coalesce(
                array_agg(item.id ORDER BY part.chunk, item.at) FILTER (WHERE item.id = ANY (part.awaiting_ids)),
                '{}'
            ) AS awaiting_ids,
            (array_agg(part.by_severity ORDER BY part.chunk DESC))[1] AS by_severity
        FROM securetag.scan_report AS part
        LEFT JOIN LATERAL unnest(part.occurrence_ids) WITH ORDINALITY AS item (id, at) ON true
        GROUP BY part.task_id, part.fence
    ) AS whole
    WHERE first.chunk = 0 AND first.task_id = whole.task_id AND first.fence = whole.fence;
DELETE FROM securetag.scan_report WHERE chunk > 0;
ALTER TABLE securetag.scan_report FORCE ROW LEVEL SECURITY;
ALTER TABLE securetag.scan_report
    DROP COLUMN chunk, DROP COLUMN is_last, DROP COLUMN findings, DROP COLUMN awaiting,
    ADD CONSTRAINT uq_scan_report_task_id_fence UNIQUE (task_id, fence);
