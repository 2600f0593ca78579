-- Lists with a search text read an index of trigrams. Behind row-level security PostgreSQL uses an index only
-- for leakproof operators, and `LIKE` isn't one; nor does it estimate there how many rows a text has. So a
-- function of the gate's, which names the tenant itself, finds the few rows that have a rare text; what is
-- common the lists find by reading on in their order.
DO $$
DECLARE
    name text;
    home text;
BEGIN
    FOREACH name IN ARRAY ARRAY['pg_trgm', 'btree_gin'] LOOP
        -- Where the database has it already, in whatever schema, it stays.
        EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA securetag', name);
    END LOOP;
    SELECT extnamespace::regnamespace::text INTO home FROM pg_catalog.pg_extension WHERE extname = 'pg_trgm';
    -- With tenant and branch, so that what other tenants have costs nothing.
    EXECUTE format(
        'CREATE INDEX ix_finding_listing_words ON securetag.finding_listing '
        'USING gin (tenant_id, branch, words %s.gin_trgm_ops)',
        home
    );
END
$$;

CREATE POLICY gate_searches ON securetag.finding_listing FOR SELECT TO securetag_gate USING (true);

-- The findings of the transaction's tenant that a branch lists with this text, in either case. Null where
-- they are more than `most`, or the text has no trigram: the index has whole words' beginnings, ends and any
-- three letters or digits in a row.
CREATE FUNCTION securetag.search_listing(wanted_branch text, wanted text, most integer) RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- No other way to read than by the index, and planned for each text.
SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    tenant uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    pattern text := lower(wanted);
    ids uuid[];
BEGIN
    IF pattern !~ '[[:alnum:]]{3}|[[:alnum:]]{2}[^[:alnum:]]|[^[:alnum:]][[:alnum:]]' THEN
        RETURN NULL;
    END IF;
    -- To read on finds what is common at once, and the index's lists of it are long.
    PERFORM FROM (
        SELECT listing.words FROM securetag.finding_listing AS listing
        WHERE listing.tenant_id = tenant AND listing.branch = wanted_branch
        ORDER BY listing.rank DESC, listing.finding_id LIMIT 1000
    ) AS first_rows
    WHERE strpos(first_rows.words, pattern) > 0 OFFSET 19 LIMIT 1;
    IF FOUND THEN
        RETURN NULL;
    END IF;
    pattern := replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_');
    SELECT array_agg(finding_id) INTO ids FROM (
        SELECT listing.finding_id FROM securetag.finding_listing AS listing
        WHERE listing.tenant_id = tenant AND listing.branch = wanted_branch
            AND listing.words LIKE '%' || pattern || '%'
        LIMIT most + 1
    ) AS hits;
    RETURN CASE WHEN coalesce(cardinality(ids), 0) <= most THEN coalesce(ids, '{}') END;
END
$$;
GRANT CREATE ON SCHEMA securetag TO securetag_gate;
ALTER FUNCTION securetag.search_listing(text, text, integer) OWNER TO securetag_gate;
REVOKE CREATE ON SCHEMA securetag FROM securetag_gate;
SET LOCAL ROLE securetag_gate;
REVOKE ALL ON FUNCTION securetag.search_listing(text, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION securetag.search_listing(text, text, integer) TO securetag_api;
SET LOCAL ROLE securetag_owner;
