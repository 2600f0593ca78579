SET LOCAL ROLE securetag_gate;
DROP FUNCTION securetag.search_listing(text, text, integer);
SET LOCAL ROLE securetag_owner;
DROP POLICY gate_searches ON securetag.finding_listing;
DROP INDEX securetag.ix_finding_listing_words;
-- Not those that the database had in another schema.
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT extname FROM pg_catalog.pg_extension
        WHERE extname IN ('pg_trgm', 'btree_gin') AND extnamespace = 'securetag'::regnamespace
    LOOP
        EXECUTE format('DROP EXTENSION %I', name);
    END LOOP;
END
$$;
