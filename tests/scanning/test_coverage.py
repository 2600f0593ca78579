"""What a scan says it read and what it did not, with the real Semgrep."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from securetag.cli.scan.report import describe_coverage
from securetag.errors import ToolError
from securetag.rules import compiled_pack
from securetag.scanning import targets
from securetag.scanning.coverage import CoverageCounter, merge_coverage
from securetag.scanning.languages import SCANNED_SUFFIXES, check_languages, language_of
from securetag.scanning.sarif.coverage import describe_coverage as describe_notes
from securetag.scanning.scanner import ScannerRun
from securetag.scanning.semgrep import scan
from securetag.settings.sections import SemgrepSettings
from securetag.wire.queue import MAX_LISTED, SkippedFile, SkipReason

EVAL: dict[str, object] = {
    "id": "eval",
    "languages": ["python"],
    "severity": "ERROR",
    "message": "eval",
    "pattern": "eval(...)",
}
EVAL_JS = {**EVAL, "id": "eval-js", "languages": ["javascript"]}
#: One line; Semgrep needs some 15 CPU-seconds for 900 kB of it.
MINIFIED = "var a=1;"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return root


def run(project: Path, *rules: dict[str, object], **settings: object) -> ScannerRun:
    pack = project.parent / "pack.json"
    pack.write_text(json.dumps({"rules": rules or [EVAL, EVAL_JS]}))
    given = SemgrepSettings.model_validate({"jobs": 1, **settings})
    return scan(project, pack=pack, settings=given, out=project.parent / "out", catalogue={})


def write(root: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def test_every_file_is_scanned_or_accounted_for(project: Path) -> None:
    # Without the word Semgrep would not try to parse it.
    noise = random.Random(1).randbytes(2_996) + b"eval"
    files: dict[str, str | bytes] = {
        "a.py": "eval(x)\ny = 1\n",
        "lib/-b.py": "eval(x)",
        "we ird*.js": "eval(x)\n",
        "half.py": "def f(:\n  eval(x\n",
        "big.py": "eval(x)\n" + "# pad\n" * 900_000,
        "noise.js": noise,
        "lib.min.js": "eval(x)",
        "main.go": "package main",
        "a.php": "<?php eval($x);",
        "Dockerfile": "FROM x",
        "web/Dockerfile.dev": "FROM x",
        "README.md": "eval(x)",
        "types.ts": "eval(x)",
    }
    write(project, files)
    coverage = run(project).check().coverage
    assert coverage.files == {"python": 3, "javascript": 1}
    assert coverage.lines == {"python": 5, "javascript": 1}
    assert coverage.parse_errors == ["half.py"]
    assert {file.path: (file.reason, file.bytes) for file in coverage.skipped} == {
        "big.py": (SkipReason.TOO_LARGE, 5_400_008),
        "noise.js": (SkipReason.PARSE_ERROR, 3_000),
        "lib.min.js": (SkipReason.MINIFIED, 7),
    }
    # No rule of this pack reads TypeScript.
    assert coverage.unsupported == {"go": 1, "php": 1, "dockerfile": 2, "other": 1, "typescript": 1}
    assert coverage.skipped_by_reason == Counter(file.reason for file in coverage.skipped)
    accounted = sum(coverage.files.values()) + sum(coverage.unsupported.values()) + len(coverage.skipped)
    assert accounted == len(files)


def test_a_project_in_other_languages_has_no_scanned_file(project: Path) -> None:
    write(project, {"main.go": "package main", "a.php": "<?php", "Dockerfile": "FROM x"})
    outcome = run(project).check()
    assert (outcome.findings, outcome.coverage.files) == ([], {})
    assert outcome.coverage.unsupported == {"go": 1, "php": 1, "dockerfile": 1}


def test_a_rule_that_the_wall_clock_ends_is_run_again_by_cpu_time(project: Path) -> None:
    """As on a busy machine: there was no time to finish the rules, although they need little work."""
    write(project, {"slow.js": MINIFIED * 5_000 + "eval(x)", "a.py": "eval(x)\n"})
    outcome = run(project, EVAL, EVAL_JS, rule_timeout_s=0.005).check_complete()
    assert [finding.path for finding in outcome.findings] == ["a.py", "slow.js"]
    assert outcome.coverage.files == {"python": 1, "javascript": 1}
    assert outcome.coverage.timeouts == []


def test_rules_that_need_too_much_cpu_are_named_and_the_rest_is_kept(project: Path) -> None:
    write(project, {"slow.js": MINIFIED * 80_000 + "eval(x)", "a.py": "eval(x)\n"})
    rules = [{**EVAL_JS, "id": f"eval-{n}", "pattern": f"eval($X, ...{n * ', $Y'})"} for n in range(3)]
    outcome = run(project, EVAL, *rules, rule_timeout_s=0.01).check()
    assert [finding.path for finding in outcome.findings] == ["a.py"]
    coverage = outcome.coverage
    assert coverage.files == {"python": 1}
    assert [(file.path, file.reason) for file in coverage.skipped] == [("slow.js", SkipReason.TIMEOUT)]
    assert sorted(timeout.rule for timeout in coverage.timeouts) == ["eval-0", "eval-1", "eval-2"]
    assert not outcome.limited, "the scan's own time had no part in it"
    with pytest.raises(ToolError, match="didn't reach 4 files or rules"):
        outcome.check_complete()


def test_batches_find_what_one_run_finds(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, {f"pkg/m{n}.py": f"def f{n}(x):\n    return eval(x)\n" + "#\n" * n for n in range(9)})
    write(project, {"a.js": "eval(x)", "bad.py": "def f(:\n  eval(x\n"})
    # No machine is so busy that a rule comes to its end by the wall clock, which would be a run more.
    whole = run(project, rule_timeout_s=600).check()
    monkeypatch.setattr(targets, "BATCH_FILES", 4)
    cut = run(project, rule_timeout_s=600).check()
    assert len(whole.findings) == 10
    assert cut.findings == whole.findings
    assert cut.coverage == whole.coverage
    assert cut.metrics.files == whole.metrics.files == 11
    reports = [json.loads(outcome.stdout_path.read_bytes()) for outcome in (whole, cut)]
    assert sorted(reports[1]["paths"]["scanned"]) == sorted(reports[0]["paths"]["scanned"])
    assert len(reports[1]["results"]) == len(reports[0]["results"])
    assert cut.result.cpu_s > whole.result.cpu_s
    assert cut.stderr_path.read_bytes().count(b"Scan Status") == 3


def test_the_cpu_limit_keeps_what_was_found_and_names_the_rest(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit's own work counts, not the machine's load: nothing here depends on wall time."""
    monkeypatch.setattr(targets, "BATCH_FILES", 1)
    write(project, {f"m{n:02}.py": "#\n" * n + "eval(x)\n" for n in range(30)})
    outcome = run(project, cpu_s=3, rule_timeout_s=600).check()
    reached = [finding.path for finding in outcome.findings]
    assert 0 < len(reached) < 30
    assert reached == [f"m{n:02}.py" for n in range(len(reached))], "the smallest come first"
    assert [(file.path, file.reason) for file in outcome.coverage.skipped] == [
        (f"m{n:02}.py", SkipReason.LIMIT) for n in range(len(reached), 30)
    ]
    assert outcome.coverage.files == {"python": len(reached)}
    assert outcome.result.cpu_s < 6
    with pytest.raises(ToolError, match=rf"didn't reach {30 - len(reached)} files"):
        outcome.check_complete()


@pytest.mark.system
def test_one_greedy_file_does_not_take_the_others_with_it(project: Path) -> None:
    """Both are in one batch, which is cut in two after the kernel has ended it."""
    write(project, {"a.js": "eval(x)\n", "huge.js": MINIFIED * 110_000 + "eval(x)"})
    outcome = run(project, cpu_s=7).check()
    assert [finding.path for finding in outcome.findings] == ["a.js"]
    assert outcome.coverage.skipped == [SkippedFile(path="huge.js", reason=SkipReason.LIMIT, bytes=880_007)]
    assert outcome.limited
    assert outcome.result.cpu_exceeded


def test_a_file_that_exhausts_memory_does_not_take_the_others_with_it(project: Path) -> None:
    write(project, {"a.js": "eval(x)\n", "huge.js": MINIFIED * 110_000 + "eval(x)"})
    outcome = run(project, memory_mb=700).check()
    assert [finding.path for finding in outcome.findings] == ["a.js"]
    assert [(file.path, file.reason) for file in outcome.coverage.skipped] == [
        ("huge.js", SkipReason.TOOL_FAILED)
    ]


def test_a_limit_of_wall_time_keeps_what_was_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that gives the third Semgrep no time at all, until the deadline has passed."""
    monkeypatch.setattr(targets, "BATCH_FILES", 1)
    write(project, {f"m{n}.py": "#\n" * n + "eval(x)\n" for n in range(5)})
    pack = project.parent / "pack.json"
    pack.write_text(json.dumps({"rules": [EVAL]}))
    groups: list[int] = []
    clock = time.monotonic

    def freeze_the_third(group: int) -> None:
        groups.append(group)
        if len(groups) == 3:
            os.kill(group, signal.SIGSTOP)
            monkeypatch.setattr(time, "monotonic", lambda: clock() + 1_000)

    outcome = scan(
        project,
        pack=pack,
        settings=SemgrepSettings(jobs=1),
        out=project.parent / "out",
        catalogue={},
        timeout_s=900.0,
        on_start=freeze_the_third,
    ).check()
    assert [finding.path for finding in outcome.findings] == ["m0.py", "m1.py"]
    assert [(file.path, file.reason) for file in outcome.coverage.skipped] == [
        (f"m{n}.py", SkipReason.LIMIT) for n in (2, 3, 4)
    ]
    assert outcome.result.timed_out
    assert len(groups) == 3


def test_a_scan_that_is_stopped_does_not_count(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although its first batch was done: half a scan that nobody limited is no result."""
    monkeypatch.setattr(targets, "BATCH_FILES", 1)
    write(project, {"a.py": "eval(x)\n", "b.py": "#\neval(x)\n"})
    pack = project.parent / "pack.json"
    pack.write_text(json.dumps({"rules": [EVAL]}))
    stop = threading.Event()
    outcome = scan(
        project,
        pack=pack,
        settings=SemgrepSettings(jobs=1),
        out=project.parent / "out",
        catalogue={},
        stop=stop,
        progress=lambda done, total: stop.set(),
    )
    assert (outcome.failure, outcome.findings) == ("Semgrep was stopped", [])


def test_a_file_whose_semgrep_the_kernel_killed_is_tried_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine whose memory ran out for a moment: the tools are the first that the kernel ends."""
    monkeypatch.setattr(targets, "BATCH_FILES", 1)
    write(project, {f"m{n}.py": "#\n" * n + "eval(x)\n" for n in range(3)})
    pack = project.parent / "pack.json"
    pack.write_text(json.dumps({"rules": [EVAL]}))
    groups: list[int] = []

    def kill_the_second(group: int) -> None:
        groups.append(group)
        if len(groups) == 2:
            os.kill(group, signal.SIGKILL)

    outcome = scan(
        project,
        pack=pack,
        settings=SemgrepSettings(jobs=1),
        out=project.parent / "out",
        catalogue={},
        on_start=kill_the_second,
    )
    assert [finding.path for finding in outcome.check_complete().findings] == ["m0.py", "m1.py", "m2.py"]
    assert len(groups) == 4


def test_a_hostile_tree_does_not_bloat_the_coverage() -> None:
    counter = CoverageCounter()
    for number in range(5_000):
        counter.add_skipped("p" * 300, SkipReason.TOO_LARGE, number)
        counter.add_timeout("rule", "p" * 300)
        counter.add_parse_error("p" * 300)
    coverage = counter.coverage()
    lists = (coverage.skipped, coverage.timeouts, coverage.parse_errors)
    assert [len(entries) for entries in lists] == [MAX_LISTED] * 3
    assert coverage.skipped_by_reason == {SkipReason.TOO_LARGE: 5_000}
    assert (coverage.timeouts_total, coverage.parse_errors_total) == (5_000, 5_000)
    assert len(coverage.model_dump_json()) < 300_000


def test_the_coverage_of_several_scanners_is_one() -> None:
    first, second, before = CoverageCounter(), CoverageCounter(), CoverageCounter()
    for _ in range(3):
        first.add_scanned("python", 10)
        second.add_scanned("python", 10)
        first.add_unsupported("go")
        second.add_unsupported("template")
    second.add_scanned("go", 5)
    first.add_scanned("template", 7)
    first.add_skipped("big.py", SkipReason.TOO_LARGE, 9)
    second.add_skipped("big.py", SkipReason.TOO_LARGE, 9)
    second.add_skipped("slow.py", SkipReason.TIMEOUT, 8)
    first.add_timeout("rule", "a.py")
    first.add_parse_error("half.py")
    second.add_parse_error("half.py")
    before.add_skipped("link", SkipReason.LINK, 1)
    merged = merge_coverage([first.coverage(), second.coverage()], before.coverage())
    assert merged.files == {"python": 3, "template": 1, "go": 1}
    assert merged.lines == {"python": 30, "template": 7, "go": 5}
    assert merged.unsupported == {"go": 2, "template": 2}
    assert [(file.path, file.reason) for file in merged.skipped] == [
        ("big.py", SkipReason.TOO_LARGE),
        ("slow.py", SkipReason.TIMEOUT),
        ("link", SkipReason.LINK),
    ]
    assert merged.skipped_by_reason == {SkipReason.TOO_LARGE: 1, SkipReason.TIMEOUT: 1, SkipReason.LINK: 1}
    assert (merged.timeouts_total, merged.parse_errors, merged.parse_errors_total) == (1, ["half.py"], 1)
    only = first.coverage()
    assert merge_coverage([only]) == only


def test_every_language_of_our_rules_has_file_names(tmp_path: Path) -> None:
    rules = json.loads(compiled_pack(tmp_path).read_bytes())["rules"]
    assert check_languages(language for rule in rules for language in rule["languages"])


def test_rules_in_a_language_without_file_names_are_refused(project: Path) -> None:
    with pytest.raises(ToolError, match="the rules name go"):
        run(project, {**EVAL, "languages": ["go"]})


@pytest.mark.parametrize("language", SCANNED_SUFFIXES)
def test_semgrep_reads_every_file_name_that_is_handed_to_it(project: Path, language: str) -> None:
    write(project, {f"a{suffix}": "eval(x)\n" for suffix in SCANNED_SUFFIXES[language]})
    rule: dict[str, object] = {**EVAL, "languages": [language]}
    if language == "template":
        text = {key: value for key, value in EVAL.items() if key != "pattern"}
        rule = {**text, "languages": ["regex"], "pattern-regex": r"eval\("}
    outcome = run(project, rule).check()
    assert {Path(finding.path).suffix for finding in outcome.findings} == set(SCANNED_SUFFIXES[language])


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b.PY", "python"),
        ("x.tsx", "typescript"),
        ("Dockerfile", "dockerfile"),
        ("dockerfile.prod", "dockerfile"),
        ("x.dockerfile", "dockerfile"),
        ("dockerfile.py", "python"),
        ("Gemfile", "ruby"),
        ("a.go", "go"),
        ("LICENSE", "other"),
        ("x.png", "other"),
        (".py", "other"),
    ],
)
def test_the_language_of_a_name(path: str, language: str) -> None:
    assert language_of(path) == language


def test_a_scanner_that_failed_is_named_with_the_reason() -> None:
    counter = CoverageCounter()
    counter.add_scanned("python", 3)
    merged = merge_coverage([counter.coverage()], None, {"bandit": "no license"})
    assert [(failed.tool, failed.reason) for failed in merged.failed_tools] == [("bandit", "no license")]
    assert "bandit failed: no license" in describe_coverage(merged)
    notes = describe_notes(merged).notifications
    assert [(note.level, note.message.text) for note in notes] == [("error", "bandit failed: no license")]
    # Nothing else was read: then it is the scan that failed.
    assert merge_coverage([], None, {"bandit": "x"}).files == {}
