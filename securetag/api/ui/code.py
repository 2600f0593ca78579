"""The code of a finding, line by line, with what a reader is to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from securetag.wire.api import FindingAnswer


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One line of the snippet."""

    number: int
    text: str
    is_flagged: bool
    #: The model names it as evidence.
    is_evidence: bool
    #: Number of the step of the data flow that is here, from 1; 0 for none.
    step: int


def list_lines(finding: FindingAnswer) -> Iterator[CodeLine]:
    """Yield the lines of the snippet, numbered as in the file."""
    at = finding.occurrence
    evidence = finding.verdict.evidence if finding.verdict is not None else []
    steps = {
        number: index
        for index, step in enumerate(at.trace, 1)
        if step.path == at.path
        for number in range(step.start_line, min(step.end_line, step.start_line + 200) + 1)
    }
    # Not splitlines: it ends a line at characters that no editor does.
    for number, text in enumerate(at.snippet.removesuffix("\n").split("\n"), at.snippet_line):
        yield CodeLine(
            number,
            text.removesuffix("\r"),
            at.start_line <= number <= at.end_line,
            any(first <= number <= last for first, last in evidence),
            steps.get(number, 0),
        )
