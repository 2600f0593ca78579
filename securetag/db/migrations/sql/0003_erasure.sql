-- What a tenant wants forgotten is out of the harvest's sight, whatever the query says and whatever
-- consent is given later. Restrictive: added to the policy of consent with AND.

CREATE POLICY demands ON securetag.erasure_request FOR SELECT TO securetag_harvest USING (true);
GRANT SELECT (tenant_id, project_id, finding_id, requested_at)
    ON securetag.erasure_request TO securetag_harvest;

-- A finding or a project that was named stays forgotten.
CREATE POLICY not_erased ON securetag.finding AS RESTRICTIVE FOR SELECT TO securetag_harvest
    USING (NOT EXISTS (
        SELECT FROM securetag.erasure_request AS demand
        WHERE demand.tenant_id = finding.tenant_id
            AND (demand.finding_id = finding.id OR demand.project_id = finding.project_id)
    ));

-- After a demand for the whole tenant only what people said later counts, under a later consent.
CREATE POLICY not_erased ON securetag.feedback AS RESTRICTIVE FOR SELECT TO securetag_harvest
    USING (NOT EXISTS (
        SELECT FROM securetag.erasure_request AS demand
        WHERE demand.tenant_id = feedback.tenant_id
            AND (
                demand.finding_id = feedback.finding_id
                OR (demand.finding_id IS NULL AND demand.project_id IS NULL
                    AND feedback.created_at <= demand.requested_at)
            )
    ));

-- What hangs on a finding is seen where the finding is.
CREATE POLICY not_erased ON securetag.finding_occurrence AS RESTRICTIVE FOR SELECT TO securetag_harvest
    USING (EXISTS (SELECT FROM securetag.finding WHERE finding.id = finding_occurrence.finding_id));
CREATE POLICY not_erased ON securetag.triage_verdict AS RESTRICTIVE FOR SELECT TO securetag_harvest
    USING (EXISTS (SELECT FROM securetag.finding WHERE finding.id = triage_verdict.finding_id));

-- The pipeline asks each tenant for its open demands.
CREATE INDEX ix_erasure_request_open ON securetag.erasure_request (tenant_id, id)
    WHERE completed_at IS NULL;
