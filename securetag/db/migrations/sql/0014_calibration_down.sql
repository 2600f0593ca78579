ALTER TABLE securetag.triage_verdict DROP COLUMN threshold;
ALTER TABLE securetag.triage_verdict DROP COLUMN calibration_id;
