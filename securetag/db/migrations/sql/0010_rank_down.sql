DROP INDEX securetag.ix_finding_tenant_id_rank_id;
CREATE INDEX ix_finding_tenant_id_rank_id ON securetag.finding (tenant_id, (- rank), id);
