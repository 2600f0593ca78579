#!/bin/sh
# Users of the database, made once by the image of PostgreSQL when the volume is empty. Neither is a
# superuser or owns a table of Securetag:
#   securetag_api      the api; row-level security binds it
#   securetag_dagster  keeps Dagster's own tables in the schema `dagster`, and may harvest
# `securetag db upgrade` makes the remaining roles and grants, as the superuser.
set -eu
# By variables of the environment: other users of a machine see a process's arguments.
API_PASSWORD=$(cat /run/secrets/api_password)
DAGSTER_PASSWORD=$(cat /run/secrets/dagster_password)
export API_PASSWORD DAGSTER_PASSWORD
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv api_password API_PASSWORD
\getenv dagster_password DAGSTER_PASSWORD
SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY['securetag_api', 'securetag_harvest', 'securetag_dagster']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec
ALTER ROLE securetag_api PASSWORD :'api_password';
ALTER ROLE securetag_dagster PASSWORD :'dagster_password';
GRANT securetag_api, securetag_harvest TO securetag_dagster;
CREATE SCHEMA IF NOT EXISTS dagster AUTHORIZATION securetag_dagster;
ALTER ROLE securetag_dagster SET search_path = dagster;
SQL
