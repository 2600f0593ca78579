-- Evidence: every rule that reports a place, how it ranks, what its file is for, and its data flow.
ALTER TABLE securetag.finding ADD COLUMN matches JSONB DEFAULT '[]' NOT NULL;
ALTER TABLE securetag.finding ADD COLUMN rank BIGINT DEFAULT '0' NOT NULL;
ALTER TABLE securetag.finding_occurrence ADD COLUMN path_class TEXT DEFAULT 'source' NOT NULL
    CONSTRAINT ck_finding_occurrence_path_class
    CHECK (path_class IN ('source', 'test', 'example', 'vendored', 'generated'));
ALTER TABLE securetag.finding_occurrence ADD COLUMN trace JSONB DEFAULT '[]' NOT NULL;
