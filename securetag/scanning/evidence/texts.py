"""Which findings are about a text that is put together above the line where another finding uses it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from securetag.records import Finding
from securetag.scanning.identity.texts import TextFlow
from securetag.scanning.languages import language_of

#: Lines between two findings that may be about one text.
MAX_TEXT_LINES = 60


class Texts:
    """The texts of one project's files; a file is read when findings of it may be connected."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._flows: dict[str, TextFlow | None] = {}

    def find_lines(self, finding: Finding, others: Sequence[Finding]) -> frozenset[int]:
        """Return the lines of the texts that a finding's code uses, where another finding is at one of them.

        `others` are those of the same file and CWE family. Empty for a file that can't be read, or in whose
        language variables can't be followed.
        """
        if not finding.scope or not any(_is_above(other, finding) for other in others):
            return frozenset()
        flow = self._flow(finding)
        if flow is None:
            return frozenset()
        lines = flow.built_lines(finding.start_line, finding.end_line)
        for other in others:
            if _is_above(other, finding) and any(
                other.start_line <= line <= other.end_line for line in lines
            ):
                return lines
        return frozenset()

    def find_own_lines(self, finding: Finding, others: Sequence[Finding]) -> frozenset[int]:
        """Return the lines of the text that a finding is in, where its rule reports that text twice.

        A rule of shapes that looks for words in a text reports each line that has some.
        """
        if all(match.kind != "shape" for match in finding.matches):
            return frozenset()
        near = [
            other.start_line
            for other in others
            if 0 < abs(other.start_line - finding.start_line) <= MAX_TEXT_LINES
            and (other.tool, other.rule_id) == (finding.tool, finding.rule_id)
        ]
        flow = self._flow(finding) if near else None
        if flow is None:
            return frozenset()
        lines = flow.text_around(finding.start_line)
        return frozenset(lines) if any(line in lines for line in near) else frozenset()

    def _flow(self, finding: Finding) -> TextFlow | None:
        if finding.path not in self._flows:
            self._flows[finding.path] = self._read(finding)
        return self._flows[finding.path]

    def _read(self, finding: Finding) -> TextFlow | None:
        # Lines of a notebook or a template are those of its code, not of the file.
        if language_of(finding.path) != finding.language:
            return None
        try:
            return TextFlow((self._project / finding.path).read_bytes(), finding.language)
        except (OSError, ValueError):
            return None


def _is_above(other: Finding, finding: Finding) -> bool:
    """Return whether a finding of another rule begins above in the same scope."""
    return (
        other.start_line < finding.start_line
        and other.scope == finding.scope
        and (other.tool, other.rule_id) != (finding.tool, finding.rule_id)
    )
