ALTER TABLE securetag.finding_occurrence DROP COLUMN trace;
ALTER TABLE securetag.finding_occurrence DROP COLUMN path_class;
ALTER TABLE securetag.finding DROP COLUMN rank;
ALTER TABLE securetag.finding DROP COLUMN matches;
