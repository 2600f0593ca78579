-- What lists of findings filter and sort by, once for each branch, in one narrow row. Lists read this table
-- and then the few findings that they show. The branch `` is the project's default branch.
CREATE TABLE securetag.finding_listing (
    finding_id UUID NOT NULL,
    branch TEXT NOT NULL,
    tenant_id UUID NOT NULL,
    project_id UUID NOT NULL,
    first_task_id UUID NOT NULL,
    first_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    rank BIGINT NOT NULL,
    severity TEXT NOT NULL,
    confidence TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    cwe TEXT NOT NULL,
    has_other_rules BOOLEAN NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    words TEXT NOT NULL,
    assignee TEXT,
    state TEXT,
    in_code BOOLEAN GENERATED ALWAYS AS (coalesce(state <> 'fixed', false)) STORED NOT NULL,
    decision TEXT,
    is_reviewed BOOLEAN NOT NULL,
    disagrees BOOLEAN NOT NULL,
    is_noted BOOLEAN NOT NULL,
    CONSTRAINT pk_finding_listing PRIMARY KEY (finding_id, branch),
    CONSTRAINT fk_finding_listing_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id),
    CONSTRAINT fk_finding_listing_tenant_id_finding_id FOREIGN KEY(tenant_id, finding_id)
        REFERENCES securetag.finding (tenant_id, id) ON DELETE CASCADE
);
-- The weaknesses of other rules that report a finding too: it is listed under them beside its own.
CREATE TABLE securetag.finding_cwe (
    tenant_id UUID NOT NULL,
    cwe TEXT NOT NULL,
    finding_id UUID NOT NULL,
    CONSTRAINT pk_finding_cwe PRIMARY KEY (tenant_id, cwe, finding_id),
    CONSTRAINT fk_finding_cwe_tenant_id FOREIGN KEY(tenant_id) REFERENCES securetag.tenant (id),
    CONSTRAINT fk_finding_cwe_tenant_id_finding_id FOREIGN KEY(tenant_id, finding_id)
        REFERENCES securetag.finding (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_finding_cwe_finding_id ON securetag.finding_cwe (finding_id);

-- Written with the rights of whoever changes a finding, so that row-level security holds here too.
CREATE FUNCTION securetag.refresh_listing(ids uuid[]) RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO securetag.finding_listing (
        finding_id, branch, tenant_id, project_id, first_task_id, first_seen_at, rank, severity, confidence,
        rule_id, cwe, has_other_rules, path, words, assignee, state, decision, is_reviewed, disagrees,
        is_noted
    )
    SELECT finding.id, listed.branch, finding.tenant_id, finding.project_id, finding.first_task_id,
        finding.first_seen_at, finding.rank, finding.severity, finding.confidence, finding.rule_id,
        finding.cwe,
        jsonb_path_exists(
            finding.matches, '$[*] ? (@.rule_id != $rule)', jsonb_build_object('rule', finding.rule_id)
        ),
        occurrence.path, lower(finding.title || E'\n' || finding.rule_id || E'\n' || occurrence.path),
        finding.assignee, state.state, verdict.decision, review.is_reviewed,
        review.is_reviewed AND coalesce(
            (feedback.verdict, verdict.decision) IN
                (('true_positive', 'false_positive'), ('false_positive', 'true_positive')),
            false
        ),
        EXISTS (SELECT FROM securetag.finding_note WHERE finding_note.finding_id = finding.id)
    -- A join, not a condition: PostgreSQL would compare each finding with each of many ids.
    FROM (SELECT DISTINCT unnest(ids) AS id) AS named
    JOIN securetag.finding ON finding.id = named.id
    JOIN securetag.project ON project.id = finding.project_id
    CROSS JOIN LATERAL (
        SELECT '' AS branch, coalesce(project.default_branch, 'main') AS name
        UNION ALL
        SELECT finding_state.branch, finding_state.branch FROM securetag.finding_state
        WHERE finding_state.finding_id = finding.id
    ) AS listed
    LEFT JOIN securetag.finding_state AS state
        ON state.finding_id = finding.id AND state.branch = listed.name
    CROSS JOIN LATERAL (
        SELECT finding_occurrence.id, finding_occurrence.path FROM securetag.finding_occurrence
        WHERE finding_occurrence.finding_id = finding.id
            AND (state.seen_task_id IS NULL OR finding_occurrence.task_id = state.seen_task_id)
        ORDER BY finding_occurrence.id DESC LIMIT 1
    ) AS occurrence
    LEFT JOIN LATERAL (
        SELECT triage_verdict.decision FROM securetag.triage_verdict
        WHERE triage_verdict.occurrence_id = occurrence.id
        ORDER BY triage_verdict.id DESC LIMIT 1
    ) AS verdict ON true
    LEFT JOIN LATERAL (
        SELECT feedback.source, feedback.verdict FROM securetag.feedback
        WHERE feedback.finding_id = finding.id AND NOT EXISTS (
            SELECT FROM securetag.feedback_withdrawal
            WHERE feedback_withdrawal.feedback_id = feedback.id
        )
        ORDER BY (feedback.source = 'person') DESC, feedback.id DESC LIMIT 1
    ) AS feedback ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(feedback.source = 'person', false) AND CASE
            WHEN state.id IS NULL THEN finding.verdict_stale_task_id
            ELSE state.verdict_stale_task_id
        END IS NULL AS is_reviewed
    ) AS review
    ON CONFLICT (finding_id, branch) DO UPDATE SET
        rank = excluded.rank, severity = excluded.severity, confidence = excluded.confidence,
        rule_id = excluded.rule_id, cwe = excluded.cwe, has_other_rules = excluded.has_other_rules,
        path = excluded.path, words = excluded.words, assignee = excluded.assignee,
        state = excluded.state, decision = excluded.decision, is_reviewed = excluded.is_reviewed,
        disagrees = excluded.disagrees, is_noted = excluded.is_noted
    WHERE (
        finding_listing.rank, finding_listing.severity, finding_listing.confidence,
        finding_listing.rule_id, finding_listing.cwe, finding_listing.has_other_rules,
        finding_listing.path, finding_listing.words, finding_listing.assignee, finding_listing.state,
        finding_listing.decision, finding_listing.is_reviewed, finding_listing.disagrees,
        finding_listing.is_noted
    ) IS DISTINCT FROM (
        excluded.rank, excluded.severity, excluded.confidence, excluded.rule_id, excluded.cwe,
        excluded.has_other_rules, excluded.path, excluded.words, excluded.assignee, excluded.state,
        excluded.decision, excluded.is_reviewed, excluded.disagrees, excluded.is_noted
    )
$$;
CREATE FUNCTION securetag.refresh_cwes(ids uuid[]) RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM securetag.finding_cwe USING securetag.finding, unnest(ids) AS named (id)
    WHERE finding_cwe.finding_id = named.id AND finding.id = named.id
        AND NOT finding.matches @> jsonb_build_array(jsonb_build_object('cwe', finding_cwe.cwe));
    INSERT INTO securetag.finding_cwe (tenant_id, cwe, finding_id)
    SELECT DISTINCT finding.tenant_id, rule.cwe #>> '{}', finding.id
    FROM unnest(ids) AS named (id) JOIN securetag.finding ON finding.id = named.id
    CROSS JOIN LATERAL jsonb_path_query(finding.matches, '$[*].cwe ? (@.type() == "string")') AS rule (cwe)
    ON CONFLICT DO NOTHING
$$;

-- One function for each way in which a changed table names its findings.
CREATE FUNCTION securetag.list_named() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM securetag.refresh_listing(ARRAY(SELECT DISTINCT finding_id FROM changed));
    RETURN NULL;
END
$$;
CREATE FUNCTION securetag.list_occurrence() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- The occurrence of a finding with a state is that of the scan which the state names.
    PERFORM securetag.refresh_listing(ARRAY(
        SELECT DISTINCT changed.finding_id FROM changed WHERE NOT EXISTS (
            SELECT FROM securetag.finding_listing
            WHERE finding_listing.finding_id = changed.finding_id AND finding_listing.branch = ''
                AND finding_listing.state IS NOT NULL
        )
    ));
    RETURN NULL;
END
$$;
CREATE FUNCTION securetag.list_finding() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids uuid[] := ARRAY(
        SELECT now.id FROM changed AS now JOIN before ON before.id = now.id
        WHERE (now.rank, now.severity, now.confidence, now.rule_id, now.cwe, now.matches, now.title,
                now.assignee, now.verdict_stale_task_id)
            IS DISTINCT FROM (before.rank, before.severity, before.confidence, before.rule_id, before.cwe,
                before.matches, before.title, before.assignee, before.verdict_stale_task_id)
    );
BEGIN
    IF cardinality(ids) > 0 THEN
        PERFORM securetag.refresh_listing(ids);
        PERFORM securetag.refresh_cwes(ids);
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION securetag.list_cwes() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM securetag.refresh_cwes(ARRAY(SELECT id FROM changed));
    RETURN NULL;
END
$$;
CREATE FUNCTION securetag.list_withdrawn() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM securetag.refresh_listing(ARRAY(
        SELECT DISTINCT feedback.finding_id
        FROM securetag.feedback JOIN changed ON changed.feedback_id = feedback.id
    ));
    RETURN NULL;
END
$$;
CREATE FUNCTION securetag.unlist_branch() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM securetag.finding_listing USING before
    WHERE finding_listing.finding_id = before.finding_id AND finding_listing.branch = before.branch;
    PERFORM securetag.refresh_listing(ARRAY(SELECT DISTINCT finding_id FROM before));
    RETURN NULL;
END
$$;
CREATE FUNCTION securetag.list_project() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM securetag.refresh_listing(
        ARRAY(SELECT id FROM securetag.finding WHERE finding.project_id = NEW.id)
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER listed AFTER INSERT ON securetag.finding
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION securetag.list_cwes();
CREATE TRIGGER relisted AFTER UPDATE ON securetag.finding
    REFERENCING OLD TABLE AS before NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION securetag.list_finding();
CREATE TRIGGER listed AFTER INSERT ON securetag.finding_occurrence
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION securetag.list_occurrence();
CREATE TRIGGER listed AFTER INSERT ON securetag.triage_verdict
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION securetag.list_named();
CREATE TRIGGER listed AFTER INSERT ON securetag.finding_state
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION securetag.list_named();
CREATE TRIGGER relisted AFTER UPDATE ON securetag.finding_state
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION securetag.list_named();
CREATE TRIGGER unlisted AFTER DELETE ON securetag.finding_state
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION securetag.unlist_branch();
CREATE TRIGGER listed AFTER INSERT ON securetag.feedback
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION securetag.list_named();
CREATE TRIGGER listed AFTER INSERT ON securetag.feedback_withdrawal
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION securetag.list_withdrawn();
CREATE TRIGGER listed AFTER INSERT ON securetag.finding_note
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION securetag.list_named();
CREATE TRIGGER relisted AFTER UPDATE OF default_branch ON securetag.project
    FOR EACH ROW WHEN (coalesce(OLD.default_branch, 'main') <> coalesce(NEW.default_branch, 'main'))
    EXECUTE FUNCTION securetag.list_project();

-- What is there already.
DO $$
DECLARE
    name text;
    names text[] := ARRAY[
        'project', 'finding', 'finding_occurrence', 'triage_verdict', 'feedback', 'feedback_withdrawal',
        'finding_state', 'finding_note'
    ];
BEGIN
    FOREACH name IN ARRAY names LOOP
        EXECUTE format('ALTER TABLE securetag.%I NO FORCE ROW LEVEL SECURITY', name);
    END LOOP;
    PERFORM securetag.refresh_listing(ARRAY(SELECT id FROM securetag.finding));
    PERFORM securetag.refresh_cwes(ARRAY(SELECT id FROM securetag.finding));
    FOREACH name IN ARRAY names LOOP
        EXECUTE format('ALTER TABLE securetag.%I FORCE ROW LEVEL SECURITY', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['finding_listing', 'finding_cwe'] LOOP
        EXECUTE format('ALTER TABLE securetag.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE securetag.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY of_tenant ON securetag.%I TO securetag_api '
            'USING (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)',
            name
        );
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON securetag.%I TO securetag_api', name);
    END LOOP;
END
$$;

-- Each list is read in its order: of equal ranks the oldest first.
CREATE INDEX ix_finding_listing_order
    ON securetag.finding_listing (tenant_id, branch, in_code, rank DESC, finding_id);
CREATE INDEX ix_finding_listing_rank ON securetag.finding_listing (tenant_id, branch, rank DESC, finding_id);
CREATE INDEX ix_finding_listing_facets ON securetag.finding_listing
    (tenant_id, branch, severity, decision, confidence, in_code, rank DESC, finding_id);
CREATE INDEX ix_finding_listing_decision ON securetag.finding_listing
    (tenant_id, branch, decision, in_code, rank DESC, finding_id);
CREATE INDEX ix_finding_listing_confidence ON securetag.finding_listing
    (tenant_id, branch, confidence, decision, in_code, rank DESC, finding_id);
CREATE INDEX ix_finding_listing_state
    ON securetag.finding_listing (tenant_id, branch, state, rank DESC, finding_id);
CREATE INDEX ix_finding_listing_project
    ON securetag.finding_listing (tenant_id, branch, project_id, in_code, rank DESC, finding_id);
CREATE INDEX ix_finding_listing_rule_id
    ON securetag.finding_listing (tenant_id, branch, rule_id, in_code, rank DESC, finding_id);
CREATE INDEX ix_finding_listing_cwe
    ON securetag.finding_listing (tenant_id, branch, cwe, in_code, rank DESC, finding_id);
CREATE INDEX ix_finding_listing_path ON securetag.finding_listing (tenant_id, branch, path);
CREATE INDEX ix_finding_listing_first_task ON securetag.finding_listing (tenant_id, branch, first_task_id);
CREATE INDEX ix_finding_listing_first_seen ON securetag.finding_listing (tenant_id, branch, first_seen_at);
CREATE INDEX ix_finding_listing_assignee
    ON securetag.finding_listing (tenant_id, branch, assignee, rank DESC, finding_id)
    WHERE assignee IS NOT NULL;
CREATE INDEX ix_finding_listing_reviewed
    ON securetag.finding_listing (tenant_id, branch, rank DESC, finding_id) WHERE is_reviewed;
CREATE INDEX ix_finding_listing_disagrees
    ON securetag.finding_listing (tenant_id, branch, rank DESC, finding_id) WHERE disagrees;
CREATE INDEX ix_finding_listing_noted
    ON securetag.finding_listing (tenant_id, branch, rank DESC, finding_id) WHERE is_noted;
-- Lists of findings no longer read these.
DROP INDEX securetag.ix_finding_tenant_id_severity_id;
DROP INDEX securetag.ix_finding_tenant_id_assignee;
