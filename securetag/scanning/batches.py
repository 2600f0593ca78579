"""Run Semgrep over a project in batches, and keep what each of them found.

A limit, a crash or a full disk costs the batches that were not done, never those that were. A batch on
which Semgrep crashes or uses its share up is cut in two until one file is left, and the rules of that file
until one rule is left: what is lost is one rule on one file.

Semgrep itself measures the time of a rule by the wall clock, so that on a busy machine a rule times out
that has done little. Each such rule is run again on its file, without that clock and with the kernel's
count of CPU time: only what this limit ends is a timeout.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from securetag.errors import ToolError
from securetag.records import JsonObject
from securetag.scanning.coverage import CoverageCounter
from securetag.scanning.languages import check_languages
from securetag.scanning.merging import MergedRules
from securetag.scanning.normalise import Paths, Report, read_report
from securetag.scanning.process import MAX_OUTPUT, ProcessResult, minimal_environment, run
from securetag.scanning.raw_report import merge_reports
from securetag.scanning.scanner import describe_end
from securetag.scanning.targets import Target, count_lines
from securetag.settings import cores
from securetag.settings.sections import SemgrepSettings
from securetag.wire.queue import SkipReason

_log = logging.getLogger(__name__)

#: Rules that may time out on one file before Semgrep leaves the others out for it; they are run again alone.
TIMEOUT_THRESHOLD = 3
#: CPU-seconds below which Semgrep isn't started: loading the rules takes half of one.
MIN_CPU_S = 1.0
#: CPU-seconds that a batch may have, or half of the project's where that is less. While more is left, it
#: may have half of what is left, so that one batch never takes the time of all the others.
BATCH_CPU_S = 60.0
#: Batches that are cut in two, because Semgrep crashed on them or used their time up, in one scan.
MAX_SPLITS = 24
#: CPU-seconds of starting Semgrep and of parsing a file, beside the time of a rule.
START_CPU_S = 1.0
#: Words of OCaml's minor heap, for each of Semgrep's threads. Each time one is full, all threads stop, and
#: spin while the others have no core: with OCaml's own 256k, 2 jobs on 10,490 lines took 19.6 CPU-seconds
#: on a busy machine, with 1M 10.0, with 4M 8.0, as one job does.
MINOR_HEAP_WORDS = 4 << 20
#: Bytes of address space for all minor heaps together: OCaml reserves them when it starts.
MINOR_HEAPS_BYTES = 512 << 20
#: Threads beside those of the jobs.
_SPARE_THREADS = 4
_WORD_BYTES = 8
#: Kinds of problem after which Semgrep has seen nothing of the file.
_UNPARSED = {"Lexical error", "Syntax error", "Other syntax error", "AST builder error"}
_PARTLY_PARSED = "PartialParsing"
_TIMEOUT = "Timeout"

#: Makes Semgrep's command without the files, from a pack of rules and its limit of wall seconds for a rule.
MakeCommand = Callable[[Path, float], list[str]]


class Rules:
    """The rules of a pack, to be run together or in part."""

    def __init__(self, pack: Path) -> None:
        self.pack = pack
        rules: list[JsonObject] = msgspec.json.decode(pack.read_bytes())["rules"]
        self._by_id = {str(rule["id"]): rule for rule in rules}
        self.merged = MergedRules(rules)
        self._languages = {name: check_languages(rule["languages"]) for name, rule in self._by_id.items()}
        #: Of the files that these rules read.
        self.languages: frozenset[str] = frozenset().union(*self._languages.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def list_for(self, target: Target) -> list[str]:
        """Return the ids of the rules that read a file."""
        return [name for name, languages in self._languages.items() if languages & target.languages]

    def write(self, names: Sequence[str], path: Path) -> Path:
        """Write a pack of some rules."""
        path.write_bytes(msgspec.json.encode({"rules": [self._by_id[name] for name in names]}))
        return path

    def write_merged(self, path: Path) -> Path:
        """Write a pack of all rules, with those merged that follow the same data."""
        path.write_bytes(msgspec.json.encode({"rules": self.merged.rules}))
        return path


@dataclass
class _Late:
    """A file on which not all rules came to an end, and the groups of rules that are to be run alone."""

    target: Target
    groups: list[list[str]]
    #: Did some rules come to an end?
    is_scanned: bool
    #: Why the rest didn't, should it stay so.
    reason: SkipReason
    is_partly_parsed: bool = False
    lost: list[str] = field(default_factory=list)


@dataclass
class Batches:
    """The batches of one scan: what they may cost, and what came of them."""

    root: Path
    rules: Rules
    make_command: MakeCommand
    settings: SemgrepSettings
    out: Path
    stop: threading.Event | None
    on_start: Callable[[int], None] | None
    deadline: float
    #: What Semgrep doesn't see.
    hidden: Sequence[Path] = ()
    counter: CoverageCounter = field(default_factory=CoverageCounter)
    results: list[ProcessResult] = field(default_factory=list)
    #: Why the last batch that didn't end well didn't.
    problem: str = ""
    _reports: list[Report] = field(default_factory=list)
    _late: list[_Late] = field(default_factory=list)
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
            elif len(batch) == 1 and result.cpu_exceeded:
                rules = self.rules.list_for(batch[0])
                self._late.append(_Late(batch[0], _halve(rules), False, SkipReason.LIMIT))
            elif len(batch) == 1 and result.exit_code == -signal.SIGKILL:
                # Not by its limit: the machine's memory ran out, which may have passed when others are done.
                rules = self.rules.list_for(batch[0])
                self._late.append(_Late(batch[0], [rules], False, SkipReason.TOOL_FAILED))
            else:
                self._skip(batch, SkipReason.LIMIT if result.cpu_exceeded else SkipReason.TOOL_FAILED)
            done += len(batch)
            if progress:
                progress(done, total)
        for late in self._late:
            self._run_alone(late)
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

    def _start(
        self, batch: list[Target], rules: Sequence[str] | None = None
    ) -> tuple[ProcessResult, Report | None]:
        """Run Semgrep once; the report is None when it doesn't count, and `problem` says why.

        With `rules` these alone are run, for as much CPU time as one rule may have.
        """
        number, left = len(self.results), self._cpu_left()
        home = self.out / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        stdout, stderr = self.out / f"{number}.stdout", self.out / f"{number}.stderr"
        if rules is None:
            command = self.make_command(self._pack_for(batch), self.settings.rule_timeout_s)
            cpu_s = min(left, max(min(BATCH_CPU_S, self.settings.cpu_s / 2), left / 2))
        else:
            command = self.make_command(self.rules.write(rules, self.out / "some-rules.json"), 0.0)
            cpu_s = min(left, math.ceil(self.settings.rule_timeout_s) + START_CPU_S)
        result = run(
            [*command, *([path for target in batch for path in target.reads] or ["."])],
            cwd=self.root,
            timeout_s=max(0.0, self.deadline - time.monotonic()),
            memory_mb=self.settings.memory_mb,
            cpu_limit_s=cpu_s,
            max_output=MAX_OUTPUT - self._written,
            stdout=stdout,
            stderr=stderr,
            stop=self.stop,
            on_start=self.on_start,
            hidden=self.hidden,
            env={
                **minimal_environment(home, self.out),
                **memory_environment(self.settings.jobs or cores()),
                "SEMGREP_SEND_METRICS": "off",
            },
        )
        self.results.append(result)
        self._written += stdout.stat().st_size
        problem = describe_end("Semgrep", result, stderr)
        report: Report | None = None
        try:
            report = self._read_report(stdout)
        except ToolError as error:
            problem = problem or str(error)
        if report is not None and (fatal := _incomplete(report)):
            # Semgrep returns the findings of the other rules when it can't read one: that is no scan.
            self._broken, problem = True, problem or fatal
        if problem:
            self.problem = problem
            if not result.stopped:
                _log.warning(
                    "Semgrep did not scan %d files, first %s: %s",
                    len(batch),
                    batch[0].path if batch else ".",
                    problem,
                )
            return result, None
        return result, report

    def _pack_for(self, batch: Sequence[Target]) -> Path:
        """Return the pack of all rules: merged where every file of the batch allows it."""
        if not all(target.is_utf8 for target in batch):
            return self.rules.pack
        merged = self.out / "merged-rules.json"
        return merged if merged.is_file() else self.rules.write_merged(merged)

    def _read_report(self, stdout: Path) -> Report:
        """Read a report, and leave the results of merged rules in its file as those of their parts."""
        content = stdout.read_bytes()
        try:
            expanded = self.rules.merged.expand(content)
        except msgspec.DecodeError:
            expanded = content  # reading it says what is wrong
        if expanded is not content:
            stdout.write_bytes(expanded)
        return read_report(expanded)

    def _count(self, batch: list[Target], report: Report) -> None:
        """Enter into the coverage what Semgrep says of each file of a batch."""
        scanned = set(report.paths.scanned)
        problems: dict[str, set[str]] = {}
        timeouts: dict[str, list[str]] = {}
        for error in report.errors:
            path = error.path or ""
            problems.setdefault(path, set()).add(error.kind)
            if error.kind == _TIMEOUT:
                timeouts.setdefault(path, []).append(error.rule_id or "")
        for target in batch:
            read = [path for path in target.reads if path in scanned]
            kinds = {kind for path in target.reads for kind in problems.get(path, ())}
            slow = [rule for path in target.reads for rule in timeouts.get(path, ())]
            # Where a template was read as text, and its scripts can't be, that is a part.
            is_partly_parsed = _PARTLY_PARSED in kinds or (len(read) > 1 and bool(kinds & _UNPARSED))
            if not read:
                self.counter.add_skipped(target.path, SkipReason.UNKNOWN, target.bytes)
            elif kinds & _UNPARSED and not is_partly_parsed:
                self.counter.add_skipped(target.path, SkipReason.PARSE_ERROR, target.bytes)
            elif kinds - {_TIMEOUT, _PARTLY_PARSED} - _UNPARSED:
                self.counter.add_skipped(target.path, SkipReason.TOOL_FAILED, target.bytes)
            elif slow:
                self._late.append(self._late_after_timeouts(target, slow, is_partly_parsed))
            else:
                self._add_scanned(target, is_partly_parsed=is_partly_parsed)

    def _late_after_timeouts(self, target: Target, slow: list[str], is_partly_parsed: bool) -> _Late:
        """Return which rules are to be run again: after too many timeouts Semgrep has left the others out.

        Those that were merged are run one by one.
        """
        names = self.rules.list_for(target)
        late = [name for rule_id in dict.fromkeys(slow) for name in self.rules.merged.members(rule_id)]
        groups = [[name] for name in late if name in names]
        has_given_up = len(slow) >= TIMEOUT_THRESHOLD
        if has_given_up and (rest := [name for name in names if name not in late]):
            groups.insert(0, rest)
        return _Late(target, groups, not has_given_up, SkipReason.TIMEOUT, is_partly_parsed)

    def _run_alone(self, late: _Late) -> None:
        """Run groups of rules on one file, and cut a group in two that takes too long."""
        waiting = deque(late.groups)
        while waiting:
            names = waiting.popleft()
            if self._broken or self._used_up():
                late.lost += names
                continue
            result, report = self._start([late.target], names)
            if result.stopped:
                return
            # That is a timeout of a rule, not the end of the scan's own time.
            self.results[-1] = replace(result, cpu_exceeded=False)
            if report is not None:
                self._reports.append(report)
                late.is_scanned = True
            elif len(names) > 1 and result.cpu_exceeded:
                waiting.extendleft(reversed(_halve(names)))
            else:
                late.lost += names
        if late.is_scanned:
            self._add_scanned(late.target, is_partly_parsed=late.is_partly_parsed)
        else:
            self.counter.add_skipped(late.target.path, late.reason, late.target.bytes)
        if late.is_scanned or late.reason is SkipReason.TIMEOUT:
            for name in late.lost:
                self.counter.add_timeout(name, late.target.path)

    def _add_scanned(self, target: Target, *, is_partly_parsed: bool) -> None:
        self.counter.add_scanned(target.language, count_lines(self.root / target.path))
        if is_partly_parsed:
            self.counter.add_parse_error(target.path)

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


def memory_environment(jobs: int) -> dict[str, str]:
    """Return the variable that gives Semgrep's threads a larger minor heap, see MINOR_HEAP_WORDS.

    The number of threads is limited too, since address space is reserved for as many as there may be.
    """
    threads = jobs + _SPARE_THREADS
    words = min(MINOR_HEAP_WORDS, MINOR_HEAPS_BYTES // _WORD_BYTES // threads)
    return {"OCAMLRUNPARAM": f"s={words},d={threads}"}


def _halve(names: list[str]) -> list[list[str]]:
    middle = len(names) // 2
    return [half for half in (names[:middle], names[middle:]) if half]


def _incomplete(report: Report) -> str:
    """Say which rule Semgrep couldn't read, if any."""
    fatal = [problem for problem in report.errors if problem.fatal]
    return f"{fatal[0].kind}: {fatal[0].message[:300]}" if fatal else ""
