"""The real Semgrep over small projects, with two rules of our own."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from securetag.errors import SettingsError, ToolError
from securetag.records import Finding
from securetag.rules import RuleMetadata, Text
from securetag.scanning.locate import semgrep_executable
from securetag.scanning.normalise import normalise, read_report
from securetag.scanning.scanner import ScannerRun
from securetag.scanning.semgrep import scan
from securetag.settings.sections import SemgrepSettings

SETTINGS = SemgrepSettings(jobs=1, timeout_s=60, memory_mb=2048)
EVAL = {
    "id": "securetag.python.eval",
    "languages": ["python"],
    "severity": "ERROR",
    "message": "eval",
    "pattern": "eval(...)",
}
EVAL_JS = {**EVAL, "id": "securetag.javascript.eval", "languages": ["javascript"], "severity": "WARNING"}
CATALOGUE = {
    "securetag.python.eval": RuleMetadata(
        id="securetag.python.eval",
        cwe="CWE-95",
        title="Code injection",
        owasp="A05:2025",
        severity="critical",
        confidence="high",
        kind="pattern",
        languages=["python"],
        message=Text("Input is run as code.", "La entrada se ejecuta como código."),
        recommendation=Text("Parse it instead.", "Analízala en su lugar."),
    )
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return root


def scanned(project: Path, *rules: dict[str, object], **options: object) -> ScannerRun:
    pack = project.parent / "pack.json"
    pack.write_text(json.dumps({"rules": rules or [EVAL, EVAL_JS]}))
    given: dict[str, object] = {"settings": SETTINGS, "catalogue": CATALOGUE, **options}
    return scan(project, pack=pack, out=project.parent / "out", **given)  # type: ignore[arg-type]


def write(root: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


FUNCTION = '@app.get("/ñ")\ndef run(q):\n    # é\n    x = "漢" + q; return eval(x)\n'


def test_a_finding_with_all_its_parts(project: Path) -> None:
    write(project, {"src/app.py": "import os\n\n\n" + FUNCTION + "\n\nx = 1\n", "web.js": "eval(a)\n"})
    run = scanned(project, lang="es").check()
    first, other = run.findings
    assert (first.rule_id, first.cwe, first.title) == ("securetag.python.eval", "CWE-95", "Code injection")
    assert (first.severity, first.confidence, first.owasp) == ("critical", "high", "A05:2025")
    assert (first.message, first.recommendation) == (
        "La entrada se ejecuta como código.",
        "Analízala en su lugar.",
    )
    assert (first.path, first.language, first.scope) == ("src/app.py", "python", "run")
    assert (first.start_line, first.end_line, first.snippet_line) == (7, 7, 4)
    assert first.snippet == FUNCTION.rstrip("\n")
    assert (other.rule_id, other.severity, other.language) == (
        "securetag.javascript.eval",
        "medium",
        "javascript",
    )
    assert run.version.startswith("1.")
    assert (run.metrics.files, run.metrics.findings, run.metrics.rules) == (2, 2, 2)
    assert run.metrics.cpu_s > 0
    assert run.metrics.peak_mb > 20
    assert run.stdout_path.stat().st_size > 0
    assert run.stderr_path.is_file()


def test_an_upload_cannot_hide_findings(project: Path) -> None:
    write(
        project,
        {
            ".semgrepignore": "*",
            ".gitignore": "*",
            "a.py": "eval(x)  # nosemgrep\n",
            "tests/b.py": "eval(x)\n",
            "vendor/node_modules/c.js": "eval(x)\n",
            "d.js": "eval(x)\n",
        },
    )
    assert sorted(finding.path for finding in scanned(project).check().findings) == [
        "a.py",
        "d.js",
        "tests/b.py",
        "vendor/node_modules/c.js",
    ]


def test_moves_and_renames_keep_fingerprints(project: Path) -> None:
    write(project, {"a.py": FUNCTION + "\ndef other(q):\n    return eval(q)\n"})
    before = {finding.scope: finding.fingerprint for finding in scanned(project).check().findings}
    (project / "a.py").unlink()
    body = FUNCTION.replace("    # é\n", "\n\n").replace("eval(x)", "eval( x )  # later")
    write(project, {"lib/b.py": "import os\n\n\ndef other(q):\n  return eval(q)\n\n\n" + body})
    after = {finding.scope: finding.fingerprint for finding in scanned(project).check().findings}
    assert after == before
    assert len(set(after.values())) == 2


def test_files_that_do_not_parse_are_counted_and_the_rest_is_scanned(project: Path) -> None:
    write(
        project, {"bad.py": "def f(:\n  eval(x\n", "good.py": "eval(x)\n", "odd.py": b"\xff\xfe\x00eval(x)"}
    )
    run = scanned(project).check()
    assert "good.py" in {finding.path for finding in run.findings}
    assert run.metrics.parse_errors >= 1


def test_a_rule_that_cannot_be_read_is_no_scan(project: Path) -> None:
    write(project, {"a.py": "eval(x)\n"})
    run = scanned(project, EVAL, {**EVAL, "id": "securetag.python.broken", "pattern": "eval(((("})
    assert run.findings == []
    assert "exit code 2" in run.failure
    with pytest.raises(ToolError):
        run.check()


def test_time_out_and_stop(project: Path) -> None:
    write(project, {"a.py": "eval(x)\n"})
    run = scanned(project, timeout_s=0.001)
    assert run.result.timed_out
    assert "didn't finish" in run.failure
    stop = threading.Event()
    stop.set()
    assert scanned(project, stop=stop).result.stopped


def test_too_little_memory_is_a_failure_with_a_reason(project: Path) -> None:
    write(project, {"a.py": "eval(x)\n"})
    run = scanned(project, settings=SemgrepSettings(jobs=1, memory_mb=256))
    assert run.failure.startswith("Semgrep ended with exit code")
    assert run.findings == []


@pytest.mark.parametrize("jobs", [2, pytest.param(64, marks=pytest.mark.system)])
def test_many_jobs_fit_into_the_memory_that_a_scan_has(project: Path, jobs: int) -> None:
    # OCaml reserves address space for each thread that there may be, and refuses a thread above their number.
    write(project, {f"{number}.py": "eval(x)\n" for number in range(3 * jobs)})
    run = scanned(project, settings=SemgrepSettings(jobs=jobs)).check()
    assert len(run.findings) == 3 * jobs


@pytest.mark.parametrize(
    "stdout",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"version": 1}', id="a number for a text"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b"null", id="null"),
    ],
)
def test_output_that_is_no_report(stdout: bytes) -> None:
    with pytest.raises(ToolError, match="no report"):
        read_report(stdout)


@pytest.mark.parametrize("path", ["../x.py", "/etc/passwd", "gone.py"])
def test_a_report_about_other_files_is_refused(path: str, project: Path) -> None:
    place = {"line": 1, "col": 1, "offset": 0}
    result = {
        "check_id": "a.b.securetag.python.eval",
        "path": path,
        "start": place,
        "end": place,
        "extra": {},
    }
    report = {"version": "1", "results": [result], "errors": [], "paths": {"scanned": []}}
    with pytest.raises(ToolError, match="Semgrep reported"):
        normalise(read_report(json.dumps(report).encode()), project, catalogue=CATALOGUE)


def test_prefixes_go_and_repeats_are_one(project: Path) -> None:
    write(project, {"a.py": "eval(x)\n"})
    place, end = {"line": 1, "col": 1, "offset": 0}, {"line": 1, "col": 8, "offset": 7}
    results = [
        {
            "check_id": prefix + "securetag.python.eval",
            "path": "a.py",
            "start": place,
            "end": end,
            "extra": {},
        }
        for prefix in ("srv.packs.", "...", "")
    ]
    report = {"version": "1", "results": results, "errors": [], "paths": {"scanned": ["a.py"]}}
    findings: list[Finding] = normalise(
        read_report(json.dumps(report).encode()), project, catalogue=CATALOGUE
    )
    assert [item.rule_id for item in findings] == ["securetag.python.eval"]


def test_minified_code_and_long_functions_give_short_snippets(project: Path) -> None:
    long = "def f(q):\n" + "    y = 1\n" * 300 + "    eval(q)\n" + "    z = 1\n" * 300
    write(project, {"m.js": "var a=1;" * 5_000 + "eval(q);" + "var b=2;" * 5_000, "l.py": long})
    findings = {item.path: item for item in scanned(project).check().findings}
    assert "eval(q)" in findings["m.js"].snippet
    assert len(findings["m.js"].snippet) < 700
    lines = findings["l.py"].snippet.split("\n")
    assert len(lines) < 80
    assert lines[findings["l.py"].start_line - findings["l.py"].snippet_line].strip() == "eval(q)"
    assert findings["l.py"].scope == "f"


def test_where_semgrep_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "semgrep"
    folder.write_text("#!/bin/sh\n")
    with pytest.raises(SettingsError, match="can't be run"):
        semgrep_executable(SemgrepSettings(executable=folder))
    folder.chmod(0o755)
    assert semgrep_executable(SemgrepSettings(executable=folder)) == folder
    monkeypatch.setattr("sys.prefix", str(tmp_path / "env" / ".venv"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert semgrep_executable(SemgrepSettings()) == folder
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingsError) as caught:
        semgrep_executable(SemgrepSettings())
    assert "semgrep==" in caught.value.hint
