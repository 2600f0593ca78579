"""Count what a scan read and what it did not, as it goes."""

from __future__ import annotations

from collections import Counter

from securetag.wire.queue import MAX_LISTED, Coverage, RuleTimeout, SkippedFile, SkipReason


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
