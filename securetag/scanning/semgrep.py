"""Run Semgrep over a folder and read what it found.

The OCaml front end (`--experimental`, osemgrep) gives the same findings as the Python one for a
third to a tenth of the CPU. It ignores `-o`, so its report is read from stdout.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from securetag.errors import ToolError
from securetag.records import Finding, Lang
from securetag.rules import RuleMetadata
from securetag.scanning.locate import semgrep_executable
from securetag.scanning.normalise import Report, normalise, read_report
from securetag.scanning.process import ProcessResult, minimal_environment, run
from securetag.settings import SemgrepSettings, cores
from securetag.wire import ToolMetrics

#: An upload may bring a `.semgrepignore`, a `.gitignore` or `# nosemgrep`: none of them hides anything.
#: Semgrep still leaves out `*.min.js`, files over 1 MB and binary files.
#: `--novcs` keeps git, whose configuration may name programs, from being run at all.
_FLAGS = (
    "scan", "--experimental", "--json", "--metrics=off", "--disable-version-check", "--novcs",
    "--no-git-ignore", "--disable-nosem", "--x-ignore-semgrepignore-files", "--no-rewrite-rule-ids",
)  # fmt: skip


@dataclass(frozen=True)
class SemgrepRun:
    """One run. Where `failure` isn't empty the findings are, and the caller decides what that means."""

    findings: list[Finding]
    #: Semgrep's own version; empty when it didn't get so far.
    version: str
    argv: list[str]
    result: ProcessResult
    metrics: ToolMetrics
    stdout_path: Path
    stderr_path: Path
    #: Why the scan doesn't count; empty when it does.
    failure: str = ""

    def check(self) -> SemgrepRun:
        """Itself. Raises ToolError when the scan timed out, was stopped, crashed or skipped a rule."""
        if self.failure:
            raise ToolError(self.failure, hint="Read the stderr of this tool execution.")
        return self


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
) -> SemgrepRun:
    """Scan `root` with the rules in `pack`; stdout and stderr are written into the folder `out`.

    Never raises for what Semgrep does: see `SemgrepRun.failure`. `timeout_s` shortens the setting.
    Raises SettingsError when there is no Semgrep.
    """
    argv = [
        str(semgrep_executable(settings)), *_FLAGS,
        "-j", str(settings.jobs or cores()), "--config", str(pack.absolute()), ".",
    ]  # fmt: skip
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    home = out / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    stdout, stderr = out / "semgrep.stdout.json", out / "semgrep.stderr.txt"
    result = run(
        argv, cwd=root, timeout_s=min(settings.timeout_s, timeout_s or settings.timeout_s),
        memory_mb=settings.memory_mb, stdout=stdout, stderr=stderr,
        env={**minimal_environment(home, out), "SEMGREP_SEND_METRICS": "off"}, stop=stop, on_start=on_start,
    )  # fmt: skip
    rules = len(json.loads(pack.read_bytes())["rules"])
    metrics = ToolMetrics(rules=rules, cpu_s=round(result.cpu_s, 3), peak_mb=round(result.peak_mb, 1))
    version, findings, failure = "", [], _ended_badly(result, stderr)
    try:
        report = read_report(stdout.read_bytes())
        version, failure = report.version, failure or _incomplete(report)
        broken = {problem.path for problem in report.errors if not problem.fatal}
        if not failure:
            findings = normalise(report, root, catalogue=catalogue, lang=lang)
        counted = {"files": len(report.paths.scanned), "findings": len(findings), "parse_errors": len(broken)}
        metrics = metrics.model_copy(update=counted)
    except ToolError as error:
        failure = failure or str(error)
    return SemgrepRun(findings, version, argv, result, metrics, stdout, stderr, failure)


def _ended_badly(result: ProcessResult, stderr: Path) -> str:
    if result.timed_out:
        return f"Semgrep didn't finish within {result.duration_s:.0f} s"
    if result.stopped:
        return "Semgrep was stopped"
    if result.exit_code != 0:
        # 0 also with findings; 2 and 7 for rules or configuration; 134 out of memory (OCaml's abort).
        lines = stderr.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return (
            f"Semgrep ended with exit code {result.exit_code}: {lines[-1][:300] if lines else 'no message'}"
        )
    return ""


def _incomplete(report: Report) -> str:
    """Semgrep returns findings of the other rules when it can't read one: that is no scan."""
    fatal = [problem for problem in report.errors if problem.fatal]
    return f"{fatal[0].kind}: {fatal[0].message[:300]}" if fatal else ""
