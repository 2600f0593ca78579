"""Constructed Records, a harvested verdict, and one built release for the whole run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from made_once import make_once, run_folder

from securetag.datasets.build import BuildParams, ReleaseSummary
from securetag.datasets.feedback.harvest import to_verdict
from securetag.records import (
    Decision,
    Facts,
    Finding,
    HarvestedVerdict,
    Label,
    Origin,
    Record,
    Status,
)
from tests.plugins.small_build import build_small

MakeRecord = Callable[..., Record]
MakeVerdict = Callable[..., HarvestedVerdict]


def make_record(
    number: int = 1,
    *,
    source: str = "test-weaknesses",
    lang: str = "en",
    licence: str = "CC-BY-SA-4.0",
    status: Status = Status.ACTIVE,
    text: str | None = None,
    facts: Facts | None = None,
) -> Record:
    return Record.of(
        source=source,
        publisher="Tests",
        key=f"T-{number}",
        title=f"Weak thing {number}",
        text=text or f"A weak thing of kind {number} lets a stranger in. It is found by looking.",
        lang=lang,
        url=f"https://tests.example/{number}",
        edition="1",
        licence=licence,  # type: ignore[arg-type]
        file_sha256="0" * 64,
        locator=f"/{number}",
        status=status,
        facts=facts
        or Facts(
            kind="weakness",
            mitigations=[f"Remove part {number}.", "Lock the door."],
            parents=["T-0"],
            severity="high",
        ),
    )


def make_finding(
    code: str = "def f(q):\n    return db.execute(q)\n", *, line: int = 2, path: str = "app/x.py"
) -> Finding:
    return Finding(
        tool="semgrep",
        rule_id="securetag.python.sql-injection",
        cwe="CWE-89",
        title="SQL injection",
        message="Text from a request reaches a statement.",
        severity="high",
        confidence="high",
        language="python",
        path=path,
        start_line=line + 9,
        end_line=line + 9,
        snippet=code,
        snippet_line=10,
        scope="f",
        fingerprint="v1:" + "a" * 64,
        recommendation="Use parameters.",
    )


def make_verdict(
    code: str = "def f(q):\n    return db.execute(q)\n",
    label: Label = "true_positive",
    *,
    reviewer: str = "Ada",
    tenant: str = "tenant-1",
    finding: str = "finding-1",
    scripted: bool = False,
) -> HarvestedVerdict:
    return to_verdict(
        finding=make_finding(code),
        label=label,
        saw_model=False,
        model_decision=Decision.NEEDS_REVIEW,
        scripted=scripted,
        reviewer=reviewer,
        origin=Origin(finding_id=finding, tenant_id=tenant, consent_id="consent-1"),
    )


@pytest.fixture
def record() -> MakeRecord:
    return make_record


@pytest.fixture
def finding() -> Callable[..., Finding]:
    return make_finding


@pytest.fixture
def verdict() -> MakeVerdict:
    return make_verdict


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> ReleaseSummary:
    """A release of 300 synthetic rows, 40 Records and four reviewed findings, with the real scanner."""
    return make_once(run_folder(tmp_path_factory), "built-release", build_release)


def build_release(folder: Path) -> ReleaseSummary:
    reviewed = [
        make_verdict(
            f"def f{n}(q):\n    return db.execute(q, {n})\n",
            "true_positive" if n % 2 else "false_positive",
            finding=f"finding-{n}",
            scripted=n == 0,
        )
        for n in range(4)
    ]
    records = [make_record(n) for n in range(40)]
    params = BuildParams(seed=7, synthetic=300, knowledge=60)
    return build_small(folder, records, params, verdicts=reviewed)
