DROP TABLE securetag.web_target;
ALTER TABLE securetag.finding_occurrence DROP COLUMN web;
