"""One real Semgrep run over the rules' cases, shared by the tests that read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from securetag.records import Finding
from securetag.rules import catalogue, compiled_pack
from securetag.rules.pack import RULES
from securetag.scanning.semgrep import scan
from securetag.settings.sections import SemgrepSettings

Scan = Callable[[Path], list[Finding]]


@pytest.fixture(scope="session")
def scan_folder(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """Scan a folder with the compiled pack; a file that doesn't parse fails the test."""

    def run(folder: Path) -> list[Finding]:
        out = tmp_path_factory.mktemp("scan")
        done = scan(
            folder,
            pack=compiled_pack(out / "pack"),
            settings=SemgrepSettings(),
            out=out,
            catalogue=catalogue(),
        ).check()
        assert done.metrics.parse_errors == 0
        return done.findings

    return run


@pytest.fixture(scope="session")
def case_findings(scan_folder: Scan) -> list[Finding]:
    return scan_folder(RULES / "cases")
