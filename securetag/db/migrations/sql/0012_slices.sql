-- The lines that a finding depends on, which a model reads instead of a window of lines.
ALTER TABLE securetag.finding_occurrence ADD COLUMN code_slice JSONB NOT NULL DEFAULT '[]';
