-- A minus sign isn't leakproof, so that behind row-level security PostgreSQL read the old index from its end.
DROP INDEX securetag.ix_finding_tenant_id_rank_id;
CREATE INDEX ix_finding_tenant_id_rank_id ON securetag.finding (tenant_id, rank DESC, id);
