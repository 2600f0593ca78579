"""The code of a finding, line by line, with what a reader is to look at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import IO

from sqlalchemy.ext.asyncio import AsyncSession

from securetag.api.services import ApiServices
from securetag.db.models import Task
from securetag.db.repositories import artifacts
from securetag.errors import NotFoundError
from securetag.scanning.sarif.bundle import open_source
from securetag.scanning.secrets.mask import is_about_secret, mask, mask_lines
from securetag.scanning.unpack import read_entry
from securetag.wire.api import FindingAnswer

#: Of a file that is shown whole: bytes that are read, and lines that are shown, around the flagged one.
MAX_FILE_BYTES = 4_000_000
MAX_LINES = 4_000


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One line of code."""

    number: int
    text: str
    is_flagged: bool
    #: The model names it as evidence.
    is_evidence: bool
    #: Number of the step of the data flow that is here, from 1; 0 for none.
    step: int


@dataclass(frozen=True, slots=True)
class WholeFile:
    """The file of a finding, or as much of it as is shown."""

    text: str
    #: Number of its first line.
    first: int
    is_cut: bool


def list_lines(finding: FindingAnswer, whole: WholeFile | None = None) -> Iterator[CodeLine]:
    """Yield the lines of the snippet, or of the whole file, numbered as in the file."""
    at = finding.occurrence
    text, first_number = (whole.text, whole.first) if whole is not None else (at.snippet, at.snippet_line)
    evidence = finding.verdict.evidence if finding.verdict is not None else []
    steps = {
        number: index
        for index, step in enumerate(at.trace, 1)
        if step.path == at.path
        for number in range(step.start_line, min(step.end_line, step.start_line + 200) + 1)
    }
    for number, line in enumerate(split_lines(text), first_number):
        yield CodeLine(
            number,
            line.removesuffix("\r"),
            at.start_line <= number <= at.end_line,
            any(first <= number <= last for first, last in evidence),
            steps.get(number, 0),
        )


def split_lines(text: str) -> list[str]:
    """Return the lines as editors count them; `str.splitlines` ends one at characters that no editor does."""
    return text.removesuffix("\n").split("\n")


async def read_whole_file(services: ApiServices, session: AsyncSession, finding: FindingAnswer) -> WholeFile:
    """Return the file in which a finding is, as its scan has read it, without the values of secrets.

    Raises NotFoundError where no code was uploaded or retention has removed it.
    """
    at = finding.occurrence
    task = await session.get(Task, at.task_id)
    upload = await artifacts.upload_of(session, at.task_id)
    if at.web is not None or task is None or upload is None or not at.snippet:
        raise NotFoundError("there is no file to show", hint="Scan the project again.")

    def read() -> WholeFile:
        with ExitStack() as opened:
            archive: IO[bytes] = opened.enter_context(services.storage.open(upload.storage_key))
            if task.kind == "import":
                archive = opened.enter_context(open_source(archive))
            content, size = read_entry(archive, at.path, services.archive_limits, max_bytes=MAX_FILE_BYTES)
        text = content.decode("utf-8", "replace")
        return mask_file_of(finding, cut_around(text, at.start_line, is_cut=size > len(content)))

    return await asyncio.to_thread(read)


def mask_file_of(finding: FindingAnswer, whole: WholeFile) -> WholeFile:
    """Return a finding's file with a mask in place of secrets: those of its lines where it is about one."""
    at, text, values = finding.occurrence, whole.text, set[str]()
    if is_about_secret(finding.cwe):
        text, values = mask_lines(text, range(at.start_line - whole.first, at.end_line - whole.first + 1))
    return replace(whole, text=mask(text, at.path, values))


def cut_around(text: str, line: int, *, is_cut: bool) -> WholeFile:
    """Return at most MAX_LINES lines around one of them; `is_cut` where the text is already a part."""
    lines = split_lines(text)
    begin = max(0, min(line - 1 - MAX_LINES // 2, len(lines) - MAX_LINES))
    shown = lines[begin : begin + MAX_LINES]
    return WholeFile("\n".join(shown), begin + 1, is_cut or len(shown) < len(lines))
