-- Pages deep in the list of one severity begin in the middle of an index, too.
CREATE INDEX ix_finding_listing_severity
    ON securetag.finding_listing (tenant_id, branch, severity, in_code, rank DESC, finding_id);
