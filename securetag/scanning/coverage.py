"""Count what a scan read and what it did not, as it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from securetag.wire.queue import MAX_LISTED, Coverage, FailedTool, RuleTimeout, SkippedFile, SkipReason


class CoverageCounter:
    """Collects a Coverage; its lists stop growing at MAX_LISTED, its counts don't."""

    def __init__(self) -> None:
        self._lines: Counter[str] = Counter()
        self._files: Counter[str] = Counter()
        self._unsupported: Counter[str] = Counter()
        self._reasons: Counter[SkipReason] = Counter()
        self._skipped: list[SkippedFile] = []
        self._timeouts: list[RuleTimeout] = []
        self._parse_errors: list[str] = []
        self._timeouts_total = 0
        self._parse_errors_total = 0

    def add_scanned(self, language: str, lines: int) -> None:
        """Count a file that was scanned."""
        self._files[language] += 1
        self._lines[language] += lines

    def add_skipped(self, path: str, reason: SkipReason, size: int) -> None:
        """Count a file of `size` bytes that was not scanned."""
        self._reasons[reason] += 1
        if len(self._skipped) < MAX_LISTED:
            self._skipped.append(SkippedFile(path=path, reason=reason, bytes=size))

    def add_unsupported(self, language: str) -> None:
        """Count a file that no rule reads."""
        self._unsupported[language] += 1

    def add_timeout(self, rule: str, path: str) -> None:
        """Count a rule that took too long on a file."""
        self._timeouts_total += 1
        if len(self._timeouts) < MAX_LISTED:
            self._timeouts.append(RuleTimeout(rule=rule, path=path))

    def add_parse_error(self, path: str) -> None:
        """Count a file of which only a part could be read."""
        self._parse_errors_total += 1
        if len(self._parse_errors) < MAX_LISTED:
            self._parse_errors.append(path)

    def coverage(self) -> Coverage:
        """Return what was counted so far."""
        return Coverage(
            lines=dict(self._lines),
            files=dict(self._files),
            skipped=list(self._skipped),
            timeouts=list(self._timeouts),
            parse_errors=list(self._parse_errors),
            unsupported=dict(self._unsupported),
            skipped_by_reason=dict(self._reasons),
            timeouts_total=self._timeouts_total,
            parse_errors_total=self._parse_errors_total,
        )


def merge_coverage(
    scanners: Sequence[Coverage], before: Coverage | None = None, failures: Mapping[str, str] | None = None
) -> Coverage:
    """Return one coverage for several scanners of the same files; `before` left out what none of them saw.

    A file is scanned when any scanner has read it: of counts by language the highest stands, and a language
    is unsupported as far as no scanner reads it. What one scanner has skipped, or a rule not finished, is
    listed whatever the others did. `failures`: scanner → why its findings are missing.
    """
    files = _highest([item.files for item in scanners])
    unsupported: dict[str, int] = {}
    for language in {name for item in scanners for name in item.unsupported}:
        # A scanner that doesn't count a language at all has nothing to say of it.
        counts = [item.unsupported[language] for item in scanners if language in item.unsupported]
        if (left := min(counts) - (files.get(language, 0) if len(counts) < len(scanners) else 0)) > 0:
            unsupported[language] = left
    parts = [*scanners, before] if before is not None else list(scanners)
    skipped = {(file.path, file.reason): file for item in parts for file in item.skipped}
    parse_errors = list(dict.fromkeys(path for item in parts for path in item.parse_errors))
    by_reason = Counter(_highest([item.skipped_by_reason for item in scanners]))
    by_reason.update(before.skipped_by_reason if before is not None else {})
    return Coverage(
        lines=_highest([item.lines for item in scanners]),
        files=files,
        skipped=list(skipped.values())[:MAX_LISTED],
        timeouts=[timeout for item in parts for timeout in item.timeouts][:MAX_LISTED],
        parse_errors=parse_errors[:MAX_LISTED],
        unsupported=unsupported,
        skipped_by_reason=dict(by_reason),
        failed_tools=[FailedTool(tool=tool, reason=reason) for tool, reason in (failures or {}).items()],
        excluded=before.excluded if before is not None else {},
        timeouts_total=sum(item.timeouts_total for item in parts),
        parse_errors_total=max([len(parse_errors), *(item.parse_errors_total for item in parts)]),
    )


Name = TypeVar("Name", bound=str)


def _highest(counts: Sequence[Mapping[Name, int]]) -> dict[Name, int]:
    names = dict.fromkeys(name for item in counts for name in item)
    return {name: max(item.get(name, 0) for item in counts) for name in names}
