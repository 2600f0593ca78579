#!/bin/sh
# Walk a deployment from upload to harvest, and name the step that fails, why, and what to do next.
#
#   deploy/e2e.sh URL KEY
#
# URL is the api's address, KEY a key with the scopes read, scan, feedback and admin. Use a tenant that
# exists for this check alone: it gets a project `e2e-…` with one finding and a verdict of a script.
#
# Needs sh, curl and python3 (its standard library). Optional, by environment:
#   DATABASE_URL        count the rows with psql too, as a user that may become securetag_api and _harvest
#   DAGSTER_URL         materialize the asset `harvest` in this Dagster, and look for the tenant in it
#   E2E_WAIT_S          seconds that a scan, and a harvest, may take (300)
#   E2E_WITHOUT_MODEL   1: don't fail where no model answers
#   E2E_CA_FILE         a CA certificate that curl trusts, for a proxy with a certificate of its own
#
# Exit code: 0 every step passed or was skipped with a reason, 1 a step failed, 2 wrong usage.
set -eu

if [ $# -ne 2 ] || [ -z "$1" ] || [ -z "$2" ]; then
  echo "usage: $0 URL KEY" >&2
  exit 2
fi
url=${1%/}
key=$2
wait_s=${E2E_WAIT_S:-300}
for program in curl python3; do
  command -v "$program" >/dev/null 2>&1 || {
    echo "$0 needs $program: install it" >&2
    exit 2
  }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step=""
skipped=0

begin() { step=$1; }

passed() { printf 'ok       %-12s %s\n' "$step" "$1"; }

skip() {
  skipped=$((skipped + 1))
  printf 'skipped  %-12s %s\n' "$step" "$1"
}

# fail WHY NEXT
fail() {
  printf 'FAILED   %-12s %s\n' "$step" "$1" >&2
  printf '         %-12s %s\n' "next" "$2" >&2
  exit 1
}

# The key is handed to curl in a file, since other users of a machine see a process's arguments.
printf 'header = "X-API-Key: %s"\n' "$key" >"$work/key"
chmod 600 "$work/key"

# call METHOD PATH [curl options]: sets $status, 000 where nothing answered; the body is in $work/body.
call() {
  method=$1
  path=$2
  shift 2
  : >"$work/body"
  status=$(curl --silent --show-error --max-time 60 --request "$method" --config "$work/key" \
    ${E2E_CA_FILE:+--cacert "$E2E_CA_FILE"} --output "$work/body" --write-out '%{http_code}' \
    "$@" "$url$path" 2>"$work/error") || true
}

# get EXPRESSION [FILE]: a Python expression over the last answer `a`, and over our exported variables.
get() {
  python3 -c '
import json, os, sys
with open(sys.argv[2], encoding="utf-8") as file:
    a = json.load(file)
print(eval(sys.argv[1], {"a": a, **os.environ}))' "$1" "${2:-$work/body}"
}

# What an unexpected answer says: the detail of a problem document, else its beginning or curl's error.
reason() {
  if [ "$status" = 000 ]; then
    tr '\n' ' ' <"$work/error"
  else
    printf 'HTTP %s: ' "$status"
    get 'a.get("detail") or a.get("title") or a' 2>/dev/null || head -c 300 "$work/body"
  fi
}

# expect STATUS NEXT
expect() {
  [ "$status" = "$1" ] || fail "$(reason)" "$2"
}

begin "api"
call GET /healthz
[ "$status" != 000 ] || fail "$url doesn't answer: $(reason)" \
  "Is the address right, and do the proxy and the api run? See their logs."
expect 200 "Is this the api's address? \`curl $url/healthz\` should answer {\"status\":\"ok\"}."
passed "$url"

begin "database"
call GET /healthz/db
expect 200 "See that PostgreSQL runs and that \`securetag db upgrade\` has run; then the api's log."
passed "reachable, at the revision that the api needs"

begin "key"
call GET /tools/status
expect 200 "Make a key: securetag key create --tenant ID --name e2e --scope read --scope scan --scope feedback --scope admin."
workers=$(get 'a["workers"]')
prefix=$(printf '%s' "$key" | cut -c 5-16)
export prefix
call GET "/keys?limit=200"
expect 200 "The key lacks the scope admin. Make one with read, scan, feedback and admin: securetag key create."
get '[k for k in a["items"] if k["prefix"] == prefix][0]' >/dev/null 2>&1 ||
  fail "the key isn't among the first 200 of its tenant" "Use a tenant that exists for this check alone."
tenant=$(get '[k["tenant_id"] for k in a["items"] if k["prefix"] == prefix][0]')
export tenant
missing=$(get '" ".join(sorted({"read", "scan", "feedback"} - {s for k in a["items"] if k["prefix"] == prefix for s in k["scopes"]}))')
[ -z "$missing" ] || fail "the key lacks the scopes $missing" \
  "Make one with read, scan, feedback and admin: securetag key create."
passed "tenant $tenant; workers heard of lately: $workers"

begin "upload"
project="e2e-$(date -u +%Y%m%dT%H%M%SZ)-$$"
python3 - "$work/project.zip" <<'PYTHON'
import sys, zipfile
code = '''import os

from flask import request


def ping():
    host = request.args["host"]
    os.system("ping -c 1 " + host)
'''
with zipfile.ZipFile(sys.argv[1], "w") as archive:
    archive.writestr("app.py", code)
PYTHON
call POST /codeaudit/upload --header "Idempotency-Key: $project" \
  --form "project=$project" --form "file=@$work/project.zip"
expect 202 "413 and 422 come from limits of the api or the proxy; 503 from the database or the storage (SECURETAG_STORAGE_URL)."
task=$(get 'a["task_id"]')
passed "project $project, task $task"

begin "queue"
call GET "/scans/$task"
expect 200 "The task was accepted and can't be read: see the api's log."
get 'a["history"][0]["to_state"]' | grep -qx queued ||
  fail "the first state is $(get 'a["history"][0]["to_state"]')" "See the api's log for task $task."
passed "queued"

# wait_while STATE…: poll the scan until its state is none of these, or the time is over.
deadline=$(($(date +%s) + wait_s))
wait_while() {
  while :; do
    call GET "/scans/$task"
    if [ "$status" = 200 ]; then
      state=$(get 'a["state"]')
      case " $* " in *" $state "*) ;; *) return 0 ;; esac
    fi
    [ "$(date +%s)" -lt "$deadline" ] || return 1
    sleep 1
  done
}

begin "worker"
if ! wait_while queued; then
  [ "$status" = 200 ] || fail "the scan can't be read any more: $(reason)" "See the api's log."
  call GET /tools/status
  workers=$(get 'a["workers"]' 2>/dev/null || echo unknown)
  fail "no worker has taken the task in $wait_s s (workers heard of lately: $workers)" \
    "Start \`securetag worker\`, and see its log: its api address and key are SECURETAG_WORKER__API_URL and SECURETAG_WORKER__API_KEY."
fi
passed "a worker has taken the task"

begin "result"
if ! wait_while queued running retrying; then
  [ "$status" = 200 ] || fail "the scan can't be read any more: $(reason)" "See the api's log."
  fail "the scan is $state after $wait_s s ($(get 'a["stage"] or a["reason"]'))" \
    "See the worker's log for task $task; E2E_WAIT_S gives it longer."
fi
[ "$state" = completed ] || fail "the scan ended as $state: $(get 'a["reason"]')" \
  "See the worker's log for task $task."
[ "$(get 'a["coverage"]["files"].get("python", 0)')" = 1 ] ||
  fail "one Python file was uploaded, the coverage says $(get 'a["coverage"]["files"]')" \
    "Run \`securetag doctor\` where the worker runs: its scanner may be missing."
passed "completed in attempt $(get 'a["attempt"]'); tools: $(get '", ".join(t["tool"] + " " + t["version"] for t in a["tool_executions"])')"

begin "finding"
call GET "/scans/$task/findings"
expect 200 "See the api's log."
cp "$work/body" "$work/findings"
[ "$(get 'sum(f["cwe"] == "CWE-78" for f in a["items"])')" = 1 ] ||
  fail "the command injection of app.py wasn't reported: $(get '[f["cwe"] for f in a["items"]]')" \
    "Run \`securetag doctor\` where the worker runs: its rules may be missing."
finding=$(get '[f["id"] for f in a["items"] if f["cwe"] == "CWE-78"][0]')
occurrence=$(get '[f["occurrence"]["id"] for f in a["items"] if f["cwe"] == "CWE-78"][0]')
passed "CWE-78, $(get '"{path}:{start_line}".format(**[f for f in a["items"] if f["cwe"] == "CWE-78"][0]["occurrence"])')"

begin "triage"
verdict='[f for f in a["items"] if f["cwe"] == "CWE-78"][0]["verdict"]'
if [ "$(get "($verdict or {}).get('model_id', '') != ''" "$work/findings")" = True ]; then
  passed "$(get "'{decision} by {alias} ({model_id:.12})'.format(**$verdict)" "$work/findings")"
elif [ -n "${E2E_WITHOUT_MODEL:-}" ]; then
  skip "no model answered, and E2E_WITHOUT_MODEL is set"
else
  fail "no model answered: $(get "($verdict or {}).get('reason', 'the finding has no verdict')" "$work/findings")" \
    "See that the model server runs, that the worker's SECURETAG_TRIAGE__BACKEND and OLLAMA_HOST name it, and that it has one of SECURETAG_TRIAGE__ALIASES."
fi

begin "stored"
call GET "/codeaudit/latest" --get --data-urlencode "project=$project"
expect 200 "See the api's log."
[ "$(get 'a["task_id"]')" = "$task" ] || fail "the project's newest scan is $(get 'a["task_id"]')" "See the api's log."
call GET "/findings/$finding"
expect 200 "The finding of the scan isn't stored: see the api's log."
passed "scan, finding and verdict are read back through the api"

# sql ROLE QUERY: as this tenant, with :tenant, :task and :finding.
sql() {
  PGCONNECT_TIMEOUT=10 psql "$DATABASE_URL" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 \
    --set "tenant=$tenant" --set "task=$task" --set "finding=$finding" 2>"$work/error" <<SQL
SET ROLE $1;
SELECT set_config('app.tenant_id', :'tenant', false) \\g /dev/null
$2;
SQL
}

begin "rows"
if [ -z "${DATABASE_URL:-}" ]; then
  skip "set DATABASE_URL to count the rows with psql"
elif ! command -v psql >/dev/null 2>&1; then
  skip "psql isn't on PATH"
else
  rows=$(sql securetag_api "SELECT
    (SELECT count(*) FROM securetag.task WHERE id = :'task' AND state = 'completed') || ' ' ||
    (SELECT count(*) FROM securetag.finding_occurrence WHERE task_id = :'task' AND finding_id = :'finding') || ' ' ||
    (SELECT count(*) FROM securetag.triage_verdict WHERE finding_id = :'finding') || ' ' ||
    (SELECT count(*) FROM securetag.scan_result WHERE task_id = :'task')") ||
    fail "psql: $(tr '\n' ' ' <"$work/error")" "See that DATABASE_URL names the deployment's database, and a user that may become securetag_api."
  [ "$rows" = "1 1 1 1" ] || fail "task, occurrence, verdict, result: $rows rows instead of 1 1 1 1" \
    "Does DATABASE_URL name the database of this api?"
  passed "task, occurrence, verdict and result are in PostgreSQL"
fi

begin "feedback"
call POST "/findings/$finding/feedback" --header "Content-Type: application/json" --data \
  "{\"occurrence_id\":\"$occurrence\",\"verdict\":\"true_positive\",\"saw_model\":true,\"source\":\"script\",\"comment\":\"deploy/e2e.sh\"}"
expect 201 "See the api's log."
call GET "/findings/$finding"
[ "$status" = 200 ] && [ "$(get '(a["feedback"] or {}).get("verdict")')" = true_positive ] ||
  fail "the feedback isn't read back: $(reason)" "See the api's log."
passed "true_positive, marked as a script's"

begin "consent"
call GET /consent
expect 200 "See the api's log."
before=$(get 'str(a["granted"]).lower()')
call PUT /consent --header "Content-Type: application/json" --data '{"granted":true}'
expect 200 "See the api's log."
passed "granted (it was $before before)"

withdraw() {
  [ "$before" = false ] || return 0
  call PUT /consent --header "Content-Type: application/json" --data '{"granted":false}'
}
trap 'withdraw; rm -rf "$work"' EXIT

# graphql QUERY-FILE: posts to Dagster; sets $status as `call` does.
graphql() {
  status=$(curl --silent --show-error --max-time 60 --header "Content-Type: application/json" \
    ${E2E_CA_FILE:+--cacert "$E2E_CA_FILE"} --data "@$1" --output "$work/body" --write-out '%{http_code}' \
    "${DAGSTER_URL%/}/graphql" 2>"$work/error") || true
}

harvest_in_dagster() {
  cat >"$work/launch" <<'JSON'
{"query": "mutation { launchRun(executionParams: {selector: {repositoryLocationName: \"securetag\", repositoryName: \"__repository__\", jobName: \"__ASSET_JOB\", assetSelection: [{path: [\"harvest\"]}]}, runConfigData: {}}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } ... on PipelineNotFoundError { message } ... on UnauthorizedError { message } ... on InvalidSubsetError { message } } }"}
JSON
  graphql "$work/launch"
  run=$(get 'a["data"]["launchRun"]["run"]["runId"]' 2>/dev/null) ||
    fail "Dagster didn't start the harvest: $(reason)" \
      "See that DAGSTER_URL is the webserver's address and that its code location \`securetag\` is loaded."
  cat >"$work/look" <<JSON
{"query": "{ runOrError(runId: \"$run\") { __typename ... on Run { status assetMaterializations { metadataEntries { label ... on JsonMetadataEntry { jsonString } } } } } }"}
JSON
  deadline=$(($(date +%s) + wait_s))
  while :; do
    graphql "$work/look"
    state=$(get 'a["data"]["runOrError"]["status"]' 2>/dev/null || echo UNKNOWN)
    case $state in SUCCESS) break ;; FAILURE | CANCELED)
      fail "Dagster's run $run ended as $state" "Open ${DAGSTER_URL%/}/runs/$run." ;;
    esac
    [ "$(date +%s)" -lt "$deadline" ] || fail "Dagster's run $run is $state after $wait_s s" \
      "See that the Dagster daemon runs, then open ${DAGSTER_URL%/}/runs/$run."
    sleep 1
  done
  tenants='[e["jsonString"] for m in a["data"]["runOrError"]["assetMaterializations"] for e in m["metadataEntries"] if e["label"] == "tenant ids"]'
  [ "$(get "tenant in ' '.join($tenants)")" = True ] ||
    fail "run $run harvested nothing of tenant $tenant: $(get "$tenants")" \
      "Does Dagster's DATABASE_URL name the database of this api?"
  passed "run $run has this tenant's verdict"
}

begin "harvest"
if [ -n "${DAGSTER_URL:-}" ]; then
  harvest_in_dagster
elif [ -n "${DATABASE_URL:-}" ] && command -v psql >/dev/null 2>&1; then
  rows=$(sql securetag_harvest "SELECT count(*) FROM securetag.feedback WHERE finding_id = :'finding'") ||
    fail "psql: $(tr '\n' ' ' <"$work/error")" "The user of DATABASE_URL must be able to become securetag_harvest."
  [ "$rows" = 1 ] || fail "the harvest's role sees $rows verdicts of this finding instead of 1" \
    "Does DATABASE_URL name the database of this api?"
  passed "the harvest's role sees the verdict"
else
  skip "set DAGSTER_URL to run the harvest, or DATABASE_URL to look with its role"
fi

begin "withdrawal"
withdraw
[ "$before" = true ] || expect 200 "Withdraw the consent by hand: PUT /consent {\"granted\": false}."
passed "the consent is as it was"
trap 'rm -rf "$work"' EXIT

printf '\n%s: from upload to harvest, %d skipped\n' "$url" "$skipped"
