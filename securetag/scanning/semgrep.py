"""Run Semgrep over a folder and read what it found.

The OCaml front end (`--experimental`, osemgrep) gives the same findings as the Python one for a
third to a tenth of the CPU. It ignores `-o`, so its report is read from stdout. It is one process with
threads, so that the kernel's limit of CPU time counts all it does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from securetag.errors import ToolError
from securetag.records import Finding, Lang
from securetag.rules import RuleMetadata, catalogue, compiled_pack
from securetag.scanning.batches import TIMEOUT_THRESHOLD, Batches, Rules
from securetag.scanning.locate import semgrep_executable
from securetag.scanning.normalise import normalise, read_report
from securetag.scanning.process import combine
from securetag.scanning.scanner import ScanLimits, Scanner, ScannerRun, ScanRequest
from securetag.scanning.targets import TargetFinder, cut_into_batches
from securetag.settings import cores
from securetag.settings.sections import SemgrepSettings
from securetag.wire.queue import SkipReason, ToolMetrics

#: An upload may bring a `.semgrepignore`, a `.gitignore` or `# nosemgrep`: none of them hides anything.
#: `--novcs` keeps git, whose configuration may name programs, from being run at all.
_FLAGS = (
    "scan",
    "--experimental",
    "--json",
    "--metrics=off",
    "--disable-version-check",
    "--novcs",
    "--no-git-ignore",
    "--disable-nosem",
    "--x-ignore-semgrepignore-files",
    "--no-rewrite-rule-ids",
    "--timeout-threshold",
    str(TIMEOUT_THRESHOLD),
)


class SemgrepScanner(Scanner):
    """Our rules, run by Semgrep in batches."""

    name = "semgrep"

    def detect(self) -> str:
        """Return the path of the executable: asking it for its version takes seconds."""
        return str(semgrep_executable(self.settings.semgrep))

    def command(self, project: Path, limits: ScanLimits) -> list[str]:  # noqa: ARG002  # run in the project
        """Return the command for the whole project; `scan` names a batch of files instead."""
        return [*_command(self._pack(), self.settings.semgrep, self.settings.semgrep.rule_timeout_s), "."]

    def parse(self, output: bytes, project: Path) -> list[Finding]:
        """Return the findings of a report, in English."""
        return normalise(read_report(output), project, catalogue=catalogue())

    def scan(self, request: ScanRequest) -> ScannerRun:
        """Scan in batches: see the function `scan`."""
        return scan(
            request.project,
            pack=self._pack(),
            settings=self.settings.semgrep,
            out=request.out,
            catalogue=catalogue(),
            lang=request.lang,
            timeout_s=request.timeout_s,
            stop=request.stop,
            on_start=request.on_start,
            progress=request.progress,
            hidden=self.settings.private_paths,
        )

    def _pack(self) -> Path:
        return compiled_pack(self.settings.run_dir / "rules")


def _command(pack: Path, settings: SemgrepSettings, rule_timeout_s: float) -> list[str]:
    """Return Semgrep's command without the files; a rule may have `rule_timeout_s` of wall time, 0: any."""
    return [
        str(semgrep_executable(settings)),
        *_FLAGS,
        "--max-target-bytes",
        str(settings.max_file_bytes),
        "--timeout",
        str(rule_timeout_s),
        "-j",
        str(settings.jobs or cores()),
        "--config",
        str(pack.absolute()),
        "--",
    ]


def scan(
    root: Path,
    *,
    pack: Path,
    settings: SemgrepSettings,
    out: Path,
    catalogue: Mapping[str, RuleMetadata],
    lang: Lang = "en",
    timeout_s: float | None = None,
    stop: threading.Event | None = None,
    on_start: Callable[[int], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    hidden: Sequence[Path] = (),
) -> ScannerRun:
    """Scan `root` with the rules in `pack`; stdout and stderr are written into the folder `out`.

    Large projects are scanned in batches, and what a finished batch found is kept whatever comes after
    it: `coverage` says which files were not reached. `progress` gets (files done, all). Semgrep sees nothing
    of `hidden` but `pack` and what is in `root` and `out`.

    Never raises for what Semgrep does: see `ScannerRun.failure`. `timeout_s` shortens the setting.
    Raises SettingsError when there is no Semgrep, ToolError for rules in a language without file names.
    """
    rules = Rules(pack)
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    batches = Batches(
        root,
        rules,
        lambda some, rule_timeout_s: _command(some, settings, rule_timeout_s),
        settings,
        out,
        stop,
        on_start,
        deadline=time.monotonic() + min(settings.timeout_s, timeout_s or settings.timeout_s),
        hidden=hidden,
    )
    finder = TargetFinder(
        root,
        rules.languages,
        batches.counter,
        copies=(out / "copies").absolute(),
        max_bytes=settings.max_file_bytes,
    )
    targets = finder.find()
    # Without a target Semgrep still says whether it can read the rules.
    batches.run(list(cut_into_batches(targets.files)) or [[]], progress)
    report, failure = batches.report(), batches.failure
    findings: list[Finding] = []
    try:
        if not failure:
            findings = normalise(report, root, catalogue=catalogue, lang=lang, extracts=targets.extracts)
    except ToolError as error:
        failure = str(error)
    result, coverage = combine(batches.results), batches.counter.coverage()
    metrics = ToolMetrics(
        tool=SemgrepScanner.name,
        rules=len(rules),
        cpu_s=round(result.cpu_s, 3),
        peak_mb=round(result.peak_mb, 1),
        files=len(report.paths.scanned),
        findings=len(findings),
        coverage=coverage,
        parse_errors=coverage.parse_errors_total + coverage.skipped_by_reason.get(SkipReason.PARSE_ERROR, 0),
    )
    return ScannerRun(
        tool=SemgrepScanner.name,
        findings=findings,
        version=report.version,
        argv=[
            *_command(pack, settings, settings.rule_timeout_s),
            f"<{len(targets.files)} files>",
        ],  # their number in place of their names
        result=result,
        metrics=metrics,
        coverage=coverage,
        stdout_path=batches.stdout,
        stderr_path=batches.stderr,
        failure=failure,
    )
