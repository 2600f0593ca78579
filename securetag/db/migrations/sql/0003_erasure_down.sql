DROP INDEX securetag.ix_erasure_request_open;
DROP POLICY not_erased ON securetag.triage_verdict;
DROP POLICY not_erased ON securetag.finding_occurrence;
DROP POLICY not_erased ON securetag.feedback;
DROP POLICY not_erased ON securetag.finding;
REVOKE SELECT (tenant_id, project_id, finding_id, requested_at)
    ON securetag.erasure_request FROM securetag_harvest;
DROP POLICY demands ON securetag.erasure_request;
