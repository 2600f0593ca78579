ALTER TABLE securetag.finding_occurrence DROP COLUMN code_slice;
