"""Scan the code of fixes before and after, all in one run of our rules."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from securetag import rules
from securetag.datasets.triage_rows import PromptStyle
from securetag.records import Finding, Record
from securetag.scanning.evidence import combine_evidence
from securetag.scanning.semgrep import scan
from securetag.settings.sections import SemgrepSettings

#: Languages that our rules read, and the suffix by which Semgrep knows them.
SUFFIXES = {"python": ".py", "javascript": ".js", "typescript": ".ts"}


def scan_versions(
    records: Sequence[Record], style: PromptStyle, work: Path, semgrep: SemgrepSettings
) -> list[tuple[list[Finding], list[Finding]]]:
    """Return for each Record the findings in its vulnerable and in its fixed code.

    The language of each is one of SUFFIXES. Raises ToolError when the scanner fails or leaves something out.
    """
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fixes-", dir=work) as name:
        folder = Path(name)
        root = folder / "code"
        for version in ("a", "b"):
            (root / version).mkdir(parents=True)
        for record in records:
            (root / _path_of(record, "a")).write_text(record.facts.vulnerable or "", encoding="utf-8")
            (root / _path_of(record, "b")).write_text(record.facts.fixed or "", encoding="utf-8")
        run = scan(
            root,
            pack=rules.compiled_pack(folder),
            settings=semgrep,
            out=folder / "semgrep",
            catalogue=rules.catalogue(),
            lang=style.lang,
        ).check_complete()
        findings: dict[str, list[Finding]] = {}
        for finding in combine_evidence(run.findings, root):
            findings.setdefault(finding.path, []).append(finding)
    return [
        (findings.get(_path_of(record, "a"), []), findings.get(_path_of(record, "b"), []))
        for record in records
    ]


def _path_of(record: Record, version: str) -> str:
    # A name that doesn't say which version it is: rules and prompts may read paths.
    return f"{version}/f{record.id[:16]}{SUFFIXES[record.facts.language or '']}"
