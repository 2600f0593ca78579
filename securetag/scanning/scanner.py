"""What a scanner is, and how one that is a plain command is run.

A scanner is a class with three methods; `docs/howto/add-a-scanner.md` shows how another package adds one.
`Scanner.scan` runs its command once, within limits. A scanner that needs more overrides it, as Semgrep does,
which scans in batches.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar, TypeGuard

from securetag.errors import SecuretagError, ToolError
from securetag.records import (
    CodeIdentity,
    Confidence,
    Finding,
    Lang,
    RuleKind,
    RuleMatch,
    Severity,
    SliceLine,
    TraceStep,
)
from securetag.scanning.identity.describe import Described
from securetag.scanning.identity.fingerprint import fingerprint
from securetag.scanning.languages import language_of
from securetag.scanning.process import MAX_OUTPUT, ProcessResult, minimal_environment, run
from securetag.scanning.secrets.output import mask_text
from securetag.scanning.snippet import Columns, Snippet, SourceFile
from securetag.settings import Settings
from securetag.system.processes import log_tail
from securetag.system.registry import Registry
from securetag.wire.queue import Coverage, SkipReason, ToolMetrics

#: What the same project may have on one machine and not on another.
_MACHINE_DEPENDENT = (SkipReason.LIMIT, SkipReason.TIMEOUT, SkipReason.TOOL_FAILED)


@dataclass(frozen=True)
class ScanLimits:
    """What one scan of one project may use."""

    #: Seconds of wall time, a guard against hangs.
    timeout_s: float
    cpu_s: float
    memory_mb: int
    #: Bytes of each file that the scanner writes.
    max_output: int = MAX_OUTPUT


@dataclass(frozen=True)
class ScanRequest:
    """A project to scan, and how the caller follows and ends the scan."""

    project: Path
    #: Folder for the scanner's stdout, stderr and temporary files.
    out: Path
    lang: Lang = "en"
    #: Seconds of wall time that are left; None: as the settings say.
    timeout_s: float | None = None
    #: When it is set, the scan ends.
    stop: threading.Event | None = None
    #: Gets the process group of each process that is started.
    on_start: Callable[[int], None] | None = None
    #: Gets (files done, all).
    progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True)
class ScannerRun:
    """One scan. Where `failure` isn't empty there are no findings, and the caller decides what that means."""

    #: The scanner's name.
    tool: str
    findings: list[Finding]
    #: The scanner's own version; empty when it didn't get so far.
    version: str
    #: Its arguments.
    argv: list[str]
    #: All its processes as if they were one.
    result: ProcessResult
    metrics: ToolMetrics
    stdout_path: Path
    stderr_path: Path
    coverage: Coverage = field(default_factory=Coverage)
    #: Why the scan doesn't count; empty when it does, even if a limit left files out.
    failure: str = ""

    @property
    def limited(self) -> bool:
        """Did a limit of time leave files out, or end the scan?"""
        ended = self.result.timed_out or self.result.cpu_exceeded
        return ended or SkipReason.LIMIT in self.coverage.skipped_by_reason

    def check(self) -> ScannerRun:
        """Return the run itself. Raises ToolError when the scan failed, was stopped or left out a rule."""
        if self.failure:
            raise ToolError(self.failure, hint="Read the stderr of this tool execution.")
        return self

    def check_complete(self) -> ScannerRun:
        """Return the run itself. Raises ToolError also where a limit or a crash left something out.

        For whoever needs the same result on every machine, such as a dataset.
        """
        self.check()
        reasons = self.coverage.skipped_by_reason
        missing = sum(reasons.get(reason, 0) for reason in _MACHINE_DEPENDENT) + self.coverage.timeouts_total
        if missing:
            raise ToolError(
                f"{self.tool.capitalize()} didn't reach {missing} files or rules within its limits",
                hint="Raise SECURETAG_SEMGREP__CPU_S, SECURETAG_SEMGREP__RULE_TIMEOUT_S or "
                "SECURETAG_SEMGREP__MEMORY_MB, or try again on an idle machine.",
            )
        return self


class Scanner(ABC):
    """A program that reads a project and reports findings."""

    #: Of its findings, tool executions, metrics and artifacts.
    name: ClassVar[str]
    #: Exit codes after which its output counts.
    good_exit_codes: ClassVar[frozenset[int]] = frozenset({0})
    #: Does a scan fail with it? If not, the coverage says that it failed, and what the others found stays.
    is_required: ClassVar[bool] = True

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def detect(self) -> str:
        """Return the version that is installed here, or where it is if asking takes long.

        Raises SettingsError, which says what is missing and how to install it.
        """

    @abstractmethod
    def command(self, project: Path, limits: ScanLimits) -> list[str]:
        """Return the command that scans `project` and writes its report to stdout. It is run in `project`."""

    @abstractmethod
    def parse(self, output: bytes, project: Path) -> list[Finding]:
        """Return the findings in a report; `findings_of` makes them from places in files.

        Raises ToolError for something else than a report. A project may be hostile, and so its report.
        """

    @property
    def limits(self) -> ScanLimits:
        """What a scan may use: as for Semgrep, unless the scanner has settings of its own."""
        semgrep = self.settings.semgrep
        return ScanLimits(semgrep.timeout_s, semgrep.cpu_s, semgrep.memory_mb)

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that the command gets beside PATH, HOME and TMPDIR."""
        return {}

    def scan(self, request: ScanRequest) -> ScannerRun:
        """Run the command once and read its report: it has read the whole project unless it failed.

        Never raises for what the scanner does: see `ScannerRun.failure`. Raises SettingsError when it is
        missing.
        """
        version, limits = self.detect(), self.limits
        home = request.out / "home"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        stdout, stderr = request.out / f"{self.name}.stdout", request.out / f"{self.name}.stderr.txt"
        argv = self.command(request.project, limits)
        result = run(
            argv,
            cwd=request.project,
            timeout_s=min(limits.timeout_s, request.timeout_s or limits.timeout_s),
            memory_mb=limits.memory_mb,
            cpu_limit_s=limits.cpu_s,
            max_output=limits.max_output,
            stdout=stdout,
            stderr=stderr,
            stop=request.stop,
            on_start=request.on_start,
            hidden=self.settings.private_paths,
            env={**minimal_environment(home, request.out), **self.environment},
        )
        findings: list[Finding] = []
        failure = describe_end(self.name.capitalize(), result, stderr, good_exit_codes=self.good_exit_codes)
        if not failure:
            try:
                findings = self.parse(stdout.read_bytes(), request.project)
            except (SecuretagError, ValueError) as error:
                failure = f"{self.name.capitalize()}'s report can't be read: {error}"
        metrics = ToolMetrics(
            tool=self.name,
            findings=len(findings),
            cpu_s=round(result.cpu_s, 3),
            peak_mb=round(result.peak_mb, 1),
            read_all=not failure,
        )
        return ScannerRun(
            self.name, findings, version, argv, result, metrics, stdout, stderr, failure=failure
        )


def describe_end(
    title: str, result: ProcessResult, stderr: Path, *, good_exit_codes: frozenset[int] = frozenset({0})
) -> str:
    """Return why the output of a process doesn't count; empty when it does."""
    if result.timed_out:
        return f"{title} didn't finish within {result.duration_s:.0f} s"
    if result.cpu_exceeded:
        return f"{title} used more than its {result.cpu_s:.0f} s of CPU time"
    if result.stopped:
        return f"{title} was stopped"
    if result.exit_code not in good_exit_codes:
        message = mask_text(log_tail(stderr, lines=1))[:300] or "no message"
        return f"{title} ended with exit code {result.exit_code}: {message}"
    return ""


@dataclass(frozen=True)
class Match:
    """A place that a scanner reports, and what it says of it."""

    rule_id: str
    #: Relative to the project, `/`-separated.
    path: str
    #: From 1, inclusive.
    start_line: int
    end_line: int
    title: str
    message: str
    severity: Severity
    cwe: str = ""
    confidence: Confidence = "medium"
    owasp: str = ""
    recommendation: str = ""
    #: What the rule looks at; `external` where nothing is known of it.
    kind: RuleKind = "external"
    #: The data flow from the source to the sink, where the scanner gives one.
    trace: tuple[TraceStep, ...] = ()
    #: None: the whole lines.
    columns: Columns | None = None


def findings_of(matches: Iterable[Match], project: Path, *, tool: str) -> list[Finding]:
    """Return a Finding for each match, with its code, scope and fingerprint, in the order of files and lines.

    Raises ToolError for a path that is no file of the project.
    """
    files: dict[str, SourceFile] = {}
    findings = []
    for match in sorted(set(matches), key=lambda match: (match.path, match.start_line, match.rule_id)):
        source = files.get(match.path) or files.setdefault(match.path, read_source(project, match.path, tool))
        first = min(max(match.start_line, 1), len(source.lines))
        last = min(max(match.end_line, first), len(source.lines))
        snippet = source.snippet(first, last)
        span = source.span(first, last, match.columns) if match.columns is not None else None
        described = source.describe(*span, snippet) if span else source.describe_lines(first, last, snippet)
        findings.append(
            make_finding(
                match,
                tool=tool,
                language=source.language,
                lines=(first, last),
                snippet=snippet,
                described=described,
                identity=described.identity,
                code_slice=source.slice(first, last),
            )
        )
    return findings


def make_finding(
    match: Match,
    *,
    tool: str,
    language: str,
    lines: tuple[int, int],
    snippet: Snippet,
    described: Described,
    identity: CodeIdentity | None,
    code_slice: list[SliceLine],
) -> Finding:
    """Return the finding of a match. Without its code there is neither an identity nor a slice."""
    first, last = lines
    return Finding(
        tool=tool,
        rule_id=match.rule_id,
        cwe=match.cwe,
        owasp=match.owasp,
        title=match.title,
        message=match.message.replace("\0", "\ufffd"),
        recommendation=match.recommendation,
        severity=match.severity,
        confidence=match.confidence,
        language=language,
        path=PurePosixPath(match.path).as_posix(),
        start_line=first,
        end_line=last,
        snippet=snippet.text,
        snippet_line=snippet.line,
        scope=snippet.scope,
        fingerprint=fingerprint(match.rule_id, described),
        identity=identity,
        code_slice=code_slice,
        matches=[
            RuleMatch(
                tool=tool,
                rule_id=match.rule_id,
                cwe=match.cwe,
                kind=match.kind,
                start_line=first,
                end_line=last,
            )
        ],
        trace=list(match.trace),
    )


def read_source(project: Path, path: str, tool: str) -> SourceFile:
    """Return a file that a scanner names. Raises ToolError where it is none of the project."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise ToolError(f"{tool} reported {path!r}, which is outside the project")
    try:
        content = (project / relative).read_bytes()
    except (OSError, ValueError) as error:
        raise ToolError(f"{tool} reported {path!r}, which can't be read: {error}") from error
    return SourceFile(content, language_of(path))


def _is_scanner(candidate: object) -> TypeGuard[type[Scanner]]:
    return isinstance(candidate, type) and issubclass(candidate, Scanner)


#: All scanners. `worker.scanners` names those that a worker runs.
SCANNERS: Registry[type[Scanner]] = Registry(
    "scanner",
    {
        "secrets": "securetag.scanning.secrets.scanner:SecretsScanner",
        "semgrep": "securetag.scanning.semgrep:SemgrepScanner",
    },
    group="securetag.scanners",
    accepts=_is_scanner,
)
