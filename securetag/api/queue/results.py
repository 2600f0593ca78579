"""What a worker has found, as it arrives: lines of JSON in a file, read as often as needed and never whole.

The first line is a `FindingsRequest` or a `ResultRequest`, which may hold findings and verdicts itself; each
further line is one more `TriagedFinding`, or after findings that were sent before an `OccurrenceVerdict`. A
result of a single line is therefore plain JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from securetag.api.errors import handle_invalid_request
from securetag.errors import InputError, LimitError
from securetag.wire.base import Wire
from securetag.wire.queue import FindingsRequest, OccurrenceVerdict, ResultRequest, TriagedFinding

Part = TypeVar("Part", bound=Wire)
RequestKind = TypeVar("RequestKind", FindingsRequest, ResultRequest)


class ReceivedLines(Generic[RequestKind]):
    """The request on the file's first line; iterating yields the findings of all lines, each time anew."""

    def __init__(self, kind: type[RequestKind], path: Path, *, max_line: int) -> None:
        """Read the first line. Raises InputError, LimitError."""
        self._path = path
        self._max_line = max_line
        _, first = next(self._lines(), (1, b""))
        self.request: RequestKind = _read(kind, first, 1)

    def __iter__(self) -> Iterator[TriagedFinding]:
        """Raises InputError, LimitError at the line that is wrong."""
        yield from self.request.findings
        yield from self.read_others(TriagedFinding)

    @property
    def verdicts(self) -> ReceivedVerdicts:
        """The verdicts of all lines, for a result without findings."""
        assert isinstance(self.request, ResultRequest), "no other request has verdicts"
        return ReceivedVerdicts(self.request, self.read_others)

    def read_others(self, kind: type[Part]) -> Iterator[Part]:
        """Yield what is on the lines after the first one."""
        for number, line in self._lines():
            if number > 1:
                yield _read(kind, line, number)

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


class ReceivedVerdicts:
    """Yields verdicts each time anew; raises as iterating over the findings does."""

    def __init__(
        self,
        request: ResultRequest,
        read_others: Callable[[type[OccurrenceVerdict]], Iterator[OccurrenceVerdict]],
    ) -> None:
        self._request = request
        self._read_others = read_others

    def __iter__(self) -> Iterator[OccurrenceVerdict]:
        yield from self._request.verdicts
        yield from self._read_others(OccurrenceVerdict)


def _read(kind: type[Part], line: bytes, number: int) -> Part:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = handle_invalid_request(error.errors(include_input=False, include_url=False))[0]
        raise InputError(
            f"line {number}: {first['where']}: {first['what']}",
            hint="Are worker and api of the same version?",
        ) from error
