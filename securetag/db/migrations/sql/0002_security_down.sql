SET LOCAL ROLE securetag_gate;
DROP FUNCTION securetag.reap(double precision, double precision);
DROP FUNCTION securetag.claim(text, text[], double precision);
DROP FUNCTION securetag.tenants(uuid, integer);
DROP FUNCTION securetag.authenticate(text);
SET LOCAL ROLE securetag_owner;

DROP TRIGGER task_history ON securetag.task;
DROP TRIGGER task_born ON securetag.task;
DROP TRIGGER task_transition ON securetag.task;
DROP TRIGGER task_begins ON securetag.task;
DROP FUNCTION securetag.task_history();
DROP FUNCTION securetag.task_transition();
DROP FUNCTION securetag.task_may(text, text);

DO $$
DECLARE
    found record;
BEGIN
    FOR found IN SELECT polname, polrelid::regclass::text AS on_table FROM pg_catalog.pg_policy
        JOIN pg_catalog.pg_class ON pg_class.oid = polrelid
        WHERE relnamespace = 'securetag'::regnamespace
    LOOP
        EXECUTE format('DROP POLICY %I ON %s', found.polname, found.on_table);
    END LOOP;
    FOR found IN SELECT oid::regclass::text AS on_table FROM pg_catalog.pg_class
        WHERE relnamespace = 'securetag'::regnamespace AND relrowsecurity
    LOOP
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', found.on_table);
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', found.on_table);
    END LOOP;
END
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA securetag FROM securetag_api, securetag_gate, securetag_harvest;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA securetag FROM securetag_api, securetag_gate, securetag_harvest;
REVOKE USAGE ON SCHEMA securetag FROM securetag_api, securetag_gate, securetag_harvest;
