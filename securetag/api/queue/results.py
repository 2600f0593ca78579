"""A result as it arrives: lines of JSON in a file, read as often as needed and never whole.

The first line is a `ResultRequest`, which may hold findings itself; each further line is one more
`TriagedFinding`. A result of a single line is therefore plain JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from securetag.api.errors import handle_invalid_request
from securetag.errors import InputError, LimitError
from securetag.wire.base import Wire
from securetag.wire.queue import ResultRequest, TriagedFinding

Part = TypeVar("Part", bound=Wire)


class ReceivedResult:
    """The request on the file's first line; iterating yields the findings of all lines, each time anew."""

    def __init__(self, path: Path, *, max_line: int) -> None:
        """Read the first line. Raises InputError, LimitError."""
        self._path = path
        self._max_line = max_line
        _, first = next(self._lines(), (1, b""))
        self.request = _read(ResultRequest, first, 1)

    def __iter__(self) -> Iterator[TriagedFinding]:
        """Raises InputError, LimitError at the line that is wrong."""
        yield from self.request.findings
        for number, line in self._lines():
            if number > 1:
                yield _read(TriagedFinding, line, number)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with self._path.open("rb") as lines:
            number = 0
            while line := lines.readline(self._max_line + 1):
                number += 1
                if len(line) > self._max_line:
                    raise LimitError(
                        f"line {number} of the result has more than {self._max_line:,} bytes",
                        hint="Send each finding on a line of its own.",
                    )
                yield number, line


def _read(kind: type[Part], line: bytes, number: int) -> Part:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = handle_invalid_request(error.errors(include_input=False, include_url=False))[0]
        raise InputError(
            f"line {number}: {first['where']}: {first['what']}",
            hint="Are worker and api of the same version?",
        ) from error
