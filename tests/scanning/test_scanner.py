"""A scanner that is a plain command: its limits, and what it says of places."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from securetag.errors import ToolError
from securetag.records import Finding
from securetag.scanning.scanner import Match, ScanLimits, Scanner, ScannerRun, ScanRequest, findings_of
from securetag.settings import Settings


class Script(Scanner):
    """Runs a few lines of Python, and takes each line of stdout for a file with a finding on line 1."""

    name = "script"
    code = ""
    cpu_s = 20.0
    timeout_s = 60.0

    def detect(self) -> str:
        return "1"

    def command(self, project: Path, limits: ScanLimits) -> list[str]:
        return [sys.executable, "-c", self.code]

    @property
    def limits(self) -> ScanLimits:
        return ScanLimits(self.timeout_s, self.cpu_s, 512)

    def parse(self, output: bytes, project: Path) -> list[Finding]:
        matches = [
            Match(
                rule_id="script.line",
                path=path,
                start_line=int(line),
                end_line=int(line),
                title="A line",
                message="It is there.",
                severity="low",
            )
            for path, _, line in (text.partition(":") for text in output.decode().splitlines())
        ]
        return findings_of(matches, project, tool=self.name)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "app.py").write_text("import os\n\n\ndef run(command):\n    os.system(command)\n")
    return folder


def scan(project: Path, code: str, **changes: float) -> ScannerRun:
    kind = type("Changed", (Script,), {"code": code, **changes})
    return kind(Settings()).scan(ScanRequest(project, project.parent / "out"))


def test_a_place_becomes_a_finding_with_its_code(project: Path) -> None:
    run = scan(project, "print('app.py:5')").check_complete()
    (finding,) = run.findings
    assert (finding.path, finding.scope, finding.tool) == ("app.py", "run", "script")
    assert "os.system(command)" in finding.snippet
    assert not run.limited
    assert [line.number for line in finding.code_slice] == [4, 5]


@pytest.mark.parametrize(
    ("code", "changes", "message"),
    [
        pytest.param("while True: pass", {"cpu_s": 1.0}, "of CPU time", id="CPU"),
        pytest.param("import time; time.sleep(60)", {"timeout_s": 1.0}, "didn't finish within", id="a hang"),
    ],
)
def test_a_limit_that_ends_the_scan_is_no_fault_of_the_scanner(
    project: Path, code: str, changes: dict[str, float], message: str
) -> None:
    run = scan(project, code, **changes)
    assert run.limited
    assert message in run.failure
    with pytest.raises(ToolError, match=message):
        run.check()


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        pytest.param("app.py:first", "report can't be read: invalid literal", id="no number"),
        pytest.param("\\udcff", "report can't be read", id="no text"),
        pytest.param("../secret:1", "outside the project", id="above the project"),
        pytest.param("/etc/passwd:1", "outside the project", id="an absolute path"),
        pytest.param("gone.py:1", "can't be read", id="no such file"),
    ],
)
def test_a_report_that_is_wrong_fails_the_scan(project: Path, printed: str, message: str) -> None:
    code = f"import sys; sys.stdout.buffer.write('{printed}'.encode('utf-8', 'surrogateescape'))"
    run = scan(project, code)
    assert message in run.failure
    assert (run.findings, run.limited) == ([], False)


def test_a_line_outside_the_file_is_moved_to_its_end(project: Path) -> None:
    run = scan(project, "print('app.py:99999999')").check()
    assert run.findings[0].start_line == 6
