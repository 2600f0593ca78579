"""The typed results of a demo, from which report and summary are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from securetag.cli.demo.outcome import ScanOutcome
from securetag.cli.demo.report import Report
from securetag.datasets.releases.manifest import Manifest
from securetag.pipeline.evaluate import Evaluation
from securetag.pipeline.external_suites import SuiteScores


@dataclass(frozen=True)
class LoopResult:
    """The offline half: what was built, how it was judged, and whether it was published."""

    release: Path
    manifest: Manifest
    evaluation: Evaluation
    published: bool


@dataclass(frozen=True)
class DemoResult:
    """A whole demo."""

    #: Folder below which its state lies.
    home: Path
    report: Report
    #: The scan with the base model, and the one after the loop.
    before: ScanOutcome
    after: ScanOutcome
    loop: LoopResult
    #: The candidate on suites of other people; empty where none is named.
    foreign: list[SuiteScores]
