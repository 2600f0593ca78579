"""Run Semgrep over a folder and read what it found.

The OCaml front end (`--experimental`, osemgrep) gives the same findings as the Python one for a
third to a tenth of the CPU. It ignores `-o`, so its report is read from stdout. It is one process with
threads, so that the kernel's limit of CPU time counts all it does.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from securetag.errors import ToolError
from securetag.records import Finding, Lang
from securetag.rules import RuleMetadata, catalogue, compiled_pack
from securetag.scanning.coverage import CoverageCounter
from securetag.scanning.languages import check_languages
from securetag.scanning.locate import semgrep_executable
from securetag.scanning.normalise import Paths, Report, normalise, read_report
from securetag.scanning.process import MAX_OUTPUT, ProcessResult, combine, minimal_environment, run
from securetag.scanning.scanner import ScanLimits, Scanner, ScannerRun, ScanRequest, describe_end
from securetag.scanning.targets import (
    MAX_TARGET_BYTES,
    Target,
    count_lines,
    cut_into_batches,
    find_targets,
)
from securetag.settings import cores
from securetag.settings.sections import SemgrepSettings
from securetag.wire.queue import SkipReason, ToolMetrics

#: Rules that may time out on one file before Semgrep leaves the others out for it.
TIMEOUT_THRESHOLD = 3
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
    "--max-target-bytes",
    str(MAX_TARGET_BYTES),
    "--timeout-threshold",
    str(TIMEOUT_THRESHOLD),
)
#: CPU-seconds below which Semgrep isn't started: loading the rules takes half of one.
MIN_CPU_S = 1.0
#: CPU-seconds that a batch may have, or half of the project's where that is less. While more is left, it
#: may have half of what is left, so that one batch never takes the time of all the others.
BATCH_CPU_S = 60.0
#: Batches that are cut in two, because Semgrep crashed on them or used their time up, in one scan.
MAX_SPLITS = 24
#: Kinds of problem after which Semgrep has seen nothing of the file.
_UNPARSED = {"Lexical error", "Syntax error", "Other syntax error", "AST builder error"}
_PARTLY_PARSED = "PartialParsing"
_TIMEOUT = "Timeout"


class SemgrepScanner(Scanner):
    """Our rules, run by Semgrep in batches."""

    name = "semgrep"

    def detect(self) -> str:
        """Return the path of the executable: asking it for its version takes seconds."""
        return str(semgrep_executable(self.settings.semgrep))

    def command(self, project: Path, limits: ScanLimits) -> list[str]:  # noqa: ARG002  # run in the project
        """Return the command for the whole project; `scan` names a batch of files instead."""
        return [*_command(self._pack(), self.settings.semgrep), "."]

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
        )

    def _pack(self) -> Path:
        return compiled_pack(self.settings.run_dir / "rules")


def _command(pack: Path, settings: SemgrepSettings) -> list[str]:
    """Return Semgrep's command without the files."""
    return [
        str(semgrep_executable(settings)),
        *_FLAGS,
        "--timeout",
        str(settings.rule_timeout_s),
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
) -> ScannerRun:
    """Scan `root` with the rules in `pack`; stdout and stderr are written into the folder `out`.

    Large projects are scanned in batches, and what a finished batch found is kept whatever comes after
    it: `coverage` says which files were not reached. `progress` gets (files done, all).

    Never raises for what Semgrep does: see `ScannerRun.failure`. `timeout_s` shortens the setting.
    Raises SettingsError when there is no Semgrep, ToolError for rules in a language without file names.
    """
    rules = msgspec.json.decode(pack.read_bytes())["rules"]
    languages = check_languages(language for rule in rules for language in rule["languages"])
    argv = _command(pack, settings)
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    batches = _Batches(
        root,
        argv,
        settings,
        out,
        stop,
        on_start,
        deadline=time.monotonic() + min(settings.timeout_s, timeout_s or settings.timeout_s),
    )
    targets = find_targets(root, languages, batches.counter)
    # Without a target Semgrep still says whether it can read the rules.
    batches.run(list(cut_into_batches(targets)) or [[]], progress)
    report, failure = batches.report(), batches.failure
    findings: list[Finding] = []
    try:
        findings = normalise(report, root, catalogue=catalogue, lang=lang) if not failure else []
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
        parse_errors=len({problem.path for problem in report.errors if not problem.fatal}),
    )
    return ScannerRun(
        tool=SemgrepScanner.name,
        findings=findings,
        version=report.version,
        argv=[*argv, f"<{len(targets)} files>"],  # their number in place of their names
        result=result,
        metrics=metrics,
        coverage=coverage,
        stdout_path=batches.stdout,
        stderr_path=batches.stderr,
        failure=failure,
    )


@dataclass
class _Batches:
    """The batches of one scan: what they may cost, and what came of them."""

    root: Path
    argv: list[str]
    settings: SemgrepSettings
    out: Path
    stop: threading.Event | None
    on_start: Callable[[int], None] | None
    deadline: float
    counter: CoverageCounter = field(default_factory=CoverageCounter)
    results: list[ProcessResult] = field(default_factory=list)
    #: Why the last batch that didn't end well didn't.
    problem: str = ""
    _reports: list[Report] = field(default_factory=list)
    _broken: bool = False
    _written: int = 0

    @property
    def stdout(self) -> Path:
        return self.out / "semgrep.stdout.json"

    @property
    def stderr(self) -> Path:
        return self.out / "semgrep.stderr.txt"

    @property
    def failure(self) -> str:
        """Why nothing of the scan counts; empty when something does."""
        counts = self._reports and not self._broken and not any(result.stopped for result in self.results)
        return "" if counts else self.problem

    def run(self, batches: Sequence[list[Target]], progress: Callable[[int, int], None] | None) -> None:
        """Scan one batch after the other, until all are done, a limit is reached or a rule is broken."""
        waiting, splits = deque(batches), 0
        total, done = sum(map(len, batches)), 0
        while waiting and not self._broken:
            batch = waiting.popleft()
            if self.results and self._used_up():
                self._skip(batch, SkipReason.LIMIT)
                continue
            result, report = self._start(batch)
            if report is not None:
                self._reports.append(report)
                self._count(batch, report)
            elif result.stopped or self._broken:
                break
            elif result.timed_out:
                self._skip(batch, SkipReason.LIMIT)
            elif len(batch) > 1 and splits < MAX_SPLITS:
                splits += 1
                middle = len(batch) // 2
                waiting.extendleft([batch[middle:], batch[:middle]])
                continue
            else:
                self._skip(batch, SkipReason.LIMIT if result.cpu_exceeded else SkipReason.TOOL_FAILED)
            done += len(batch)
            if progress:
                progress(done, total)
        self._merge_output()

    def report(self) -> Report:
        """One report in place of those of the batches that ended well."""
        return Report(
            version=next((report.version for report in self._reports), ""),
            results=[match for report in self._reports for match in report.results],
            errors=[problem for report in self._reports for problem in report.errors],
            paths=Paths(scanned=[path for report in self._reports for path in report.paths.scanned]),
        )

    def _cpu_left(self) -> float:
        return self.settings.cpu_s - sum(result.cpu_s for result in self.results)

    def _used_up(self) -> bool:
        return (
            self._cpu_left() < MIN_CPU_S or time.monotonic() >= self.deadline or self._written >= MAX_OUTPUT
        )

    def _start(self, batch: list[Target]) -> tuple[ProcessResult, Report | None]:
        """Run Semgrep once; the report is None when it doesn't count, and `problem` says why."""
        number, left = len(self.results), self._cpu_left()
        home = self.out / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        stdout, stderr = self.out / f"{number}.stdout", self.out / f"{number}.stderr"
        result = run(
            [*self.argv, *([target.path for target in batch] or ["."])],
            cwd=self.root,
            timeout_s=max(0.0, self.deadline - time.monotonic()),
            memory_mb=self.settings.memory_mb,
            cpu_limit_s=min(left, max(min(BATCH_CPU_S, self.settings.cpu_s / 2), left / 2)),
            max_output=MAX_OUTPUT - self._written,
            stdout=stdout,
            stderr=stderr,
            stop=self.stop,
            on_start=self.on_start,
            env={**minimal_environment(home, self.out), "SEMGREP_SEND_METRICS": "off"},
        )
        self.results.append(result)
        self._written += stdout.stat().st_size
        problem = describe_end("Semgrep", result, stderr)
        report: Report | None = None
        try:
            report = read_report(stdout.read_bytes())
        except ToolError as error:
            problem = problem or str(error)
        if report is not None and (fatal := _incomplete(report)):
            # Semgrep returns the findings of the other rules when it can't read one: that is no scan.
            self._broken, problem = True, problem or fatal
        if problem:
            self.problem = problem
            return result, None
        return result, report

    def _count(self, batch: list[Target], report: Report) -> None:
        """Enter into the coverage what Semgrep says of each file of a batch."""
        scanned = set(report.paths.scanned)
        problems: dict[str, set[str]] = {}
        timeouts: Counter[str] = Counter()
        for error in report.errors:
            path = error.path or ""
            problems.setdefault(path, set()).add(error.kind)
            if error.kind == _TIMEOUT:
                timeouts[path] += 1
                self.counter.add_timeout(error.rule_id or "", path)
        for target in batch:
            kinds = problems.get(target.path, set())
            if target.path not in scanned:
                reason = SkipReason.UNKNOWN
            elif kinds & _UNPARSED:
                reason = SkipReason.PARSE_ERROR
            elif timeouts[target.path] >= TIMEOUT_THRESHOLD:
                reason = SkipReason.TIMEOUT
            elif kinds - {_TIMEOUT, _PARTLY_PARSED}:
                reason = SkipReason.TOOL_FAILED
            else:
                self.counter.add_scanned(target.language, count_lines(self.root / target.path))
                if _PARTLY_PARSED in kinds:
                    self.counter.add_parse_error(target.path)
                continue
            self.counter.add_skipped(target.path, reason, target.bytes)

    def _skip(self, batch: list[Target], reason: SkipReason) -> None:
        for target in batch:
            self.counter.add_skipped(target.path, reason, target.bytes)

    def _merge_output(self) -> None:
        """Leave one stdout and one stderr, as if there had been one process."""
        outputs = [self.out / f"{number}.stdout" for number in range(len(self.results))]
        with self.stderr.open("wb") as target:
            for number in range(len(self.results)):
                part = self.out / f"{number}.stderr"
                target.write(part.read_bytes())
                part.unlink()
        if len(self._reports) <= 1:
            # That of the only batch which ended well, else whatever the last one printed.
            good = [path for path, result in zip(outputs, self.results, strict=True) if not result.exit_code]
            (good or outputs)[-1].rename(self.stdout)
        else:
            merge_reports([path for path in outputs if path.stat().st_size], self.stdout)
        for path in outputs:
            path.unlink(missing_ok=True)


class _RawPaths(msgspec.Struct):
    scanned: list[msgspec.Raw] = []


class _RawReport(msgspec.Struct):
    """A report whose entries stay the bytes that Semgrep wrote."""

    version: str
    results: list[msgspec.Raw]
    errors: list[msgspec.Raw]
    paths: _RawPaths


def merge_reports(sources: Sequence[Path], target: Path) -> None:
    """Write one report with the entries of all `sources`; one that is no report is left out."""
    merged: _RawReport | None = None
    for source in sources:
        try:
            text = source.read_bytes().decode("utf-8", errors="replace")
            report = msgspec.json.decode(text, type=_RawReport)
        except msgspec.DecodeError:
            continue
        if merged is None:
            merged = report
            continue
        merged.results += report.results
        merged.errors += report.errors
        merged.paths.scanned += report.paths.scanned
    target.write_bytes(msgspec.json.encode(merged) if merged is not None else b"")


def _incomplete(report: Report) -> str:
    """Say which rule Semgrep couldn't read, if any."""
    fatal = [problem for problem in report.errors if problem.fatal]
    return f"{fatal[0].kind}: {fatal[0].message[:300]}" if fatal else ""
