"""Every rule flags the lines that its cases mark `ruleid:` and no other, by Semgrep's own run."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from securetag.records import Finding
from securetag.rules import catalogue, compiled_pack
from securetag.rules.pack import LANGUAGES, RULES
from securetag.scanning.locate import semgrep_executable
from securetag.settings.sections import SemgrepSettings

#: What closes a comment in the languages of templates.
COMMENT_END = r"\s*(-->|--\}\}|%>)?\s*$"


def case_file(rule: str) -> Path:
    """Return the only file of the rule's cases; a template's has the ending of its own language."""
    _, language, name = rule.split(".")
    (path,) = (RULES / "cases" / language).glob(f"{name}.*")
    return path


def marked(rule: str, mark: str) -> set[int]:
    """Return the lines below a comment `mark: rule`."""
    comment = re.compile(rf" {mark}: {re.escape(rule)}{COMMENT_END}")
    lines = case_file(rule).read_text(encoding="utf-8").split("\n")
    return {number + 1 for number, line in enumerate(lines, 1) if comment.search(line)}


@pytest.mark.parametrize("rule", sorted(catalogue()))
def test_a_rule_flags_what_its_cases_mark(rule: str, case_findings: list[Finding]) -> None:
    path = case_file(rule).relative_to(RULES / "cases").as_posix()
    flagged = [
        finding.start_line for finding in case_findings if finding.path == path and finding.rule_id == rule
    ]
    assert set(flagged) == marked(rule, "ruleid")
    assert [line for line, times in Counter(flagged).items() if times > 1] == []


@pytest.mark.parametrize("rule", sorted(catalogue()))
def test_a_rule_has_positive_and_near_miss_cases(rule: str) -> None:
    assert len(marked(rule, "ruleid")) >= (1 if rule.endswith(("-file", "-cookie", "deserialization")) else 2)
    assert marked(rule, "ok")


def test_no_case_is_without_its_rule() -> None:
    files = {
        path for language in LANGUAGES for path in (RULES / "cases" / language).iterdir() if path.is_file()
    }
    assert files == {case_file(rule) for rule in catalogue()}


def test_the_pack_is_broad() -> None:
    rules = catalogue().values()
    assert len(rules) >= 40
    assert len({rule.cwe for rule in rules}) >= 20


@pytest.mark.system
@pytest.mark.slow
def test_both_front_ends_of_semgrep_find_the_same(case_findings: list[Finding], tmp_path: Path) -> None:
    """Semgrep's older Python front end checks each rule more strictly than the one that a scan uses."""
    done = subprocess.run(
        [
            str(semgrep_executable(SemgrepSettings())),
            "scan",
            "--json",
            "--metrics=off",
            "-j",
            "1",
            f"--config={compiled_pack(tmp_path)}",
            "--disable-version-check",
            "--no-git-ignore",
            "--disable-nosem",
            "--x-ignore-semgrepignore-files",
            "--no-rewrite-rule-ids",
            ".",
        ],
        cwd=RULES / "cases",
        capture_output=True,
        timeout=240,
        check=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    report = json.loads(done.stdout)
    assert report["errors"] == []
    from_python = {
        (
            result["check_id"],
            result["path"].removeprefix("./"),
            result["start"]["line"],
            result["end"]["line"],
        )
        for result in report["results"]
    }
    assert from_python == {
        (finding.rule_id, finding.path, finding.start_line, finding.end_line) for finding in case_findings
    }
