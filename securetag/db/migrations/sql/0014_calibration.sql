-- By which calibration a model's verdict got its probability, and the threshold that was applied to it.
ALTER TABLE securetag.triage_verdict ADD COLUMN calibration_id TEXT NOT NULL DEFAULT '';
ALTER TABLE securetag.triage_verdict ADD COLUMN threshold DOUBLE PRECISION
    CONSTRAINT ck_triage_verdict_threshold CHECK (threshold >= 0 AND threshold <= 1);
