"""Read the pages of a PDF, in a child process, as lines with positions and font sizes.

A hostile PDF may loop or grow inside native code, so each document is read in a process with limits on
memory and time: a copy (fork) of one that has PyMuPDF loaded already, since loading it costs more than
most documents do. `mupdf` is that process; this module knows no PDF library.

Lengths are in tenths of a point, from the page's top left as a person sees it.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

import msgspec

from securetag.errors import SourceError
from securetag.extractors.readers.pdf import signature
from securetag.system.processes import ChildProcess

#: Maximum CPU-seconds of opening the document, and of each page; a page with tables takes 0.7.
MAX_STEP_CPU_S = 5.0
#: Maximum wall seconds of waiting for an answer, long enough for a busy machine.
MAX_WAIT_S = 900.0
#: What the child process prints goes where our own messages go.
STDERR = 2


class Line(msgspec.Struct, array_like=True, gc=False):
    """A horizontal run of text without wide gaps.

    The box of a text reaches from 0.9 sizes above its baseline to 0.2 sizes below, whatever its font
    claims: the boxes of some fonts are as tall as five lines.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    #: Font size; like all lengths in tenths of a point.
    size: int
    bold: bool
    #: Whether all of it is monospaced.
    mono: bool
    text: str
    #: Rows of the table at this position, all of one width; `text` is empty then.
    table: list[list[str]] = []
    italic: bool = False

    @property
    def baseline(self) -> int:
        """The height at which the text stands; the top of a table."""
        return self.y0 if self.table else self.y1 - self.size // 5


class Page(msgspec.Struct):
    """One page; `images` separates a page of pictures from an empty one."""

    width: int
    height: int
    lines: list[Line]
    images: int = 0
    #: Why the page couldn't be read, or only in part; empty where it could.
    error: str = ""


class PdfDocument(msgspec.Struct):
    """The pages and the outline of a PDF."""

    title: str
    #: (level, title, page) from the outline, pages from 1.
    toc: list[tuple[int, str, int]]
    pages: list[Page]
    #: CPU-seconds of its child process, which the system adds to ours only when the process ends.
    cpu_s: float = 0.0
    #: What is broken in the file, so that pages may be missing; empty for a sound one.
    damage: str = ""


class Request(msgspec.Struct):
    """One line of JSON to the child process."""

    path: str
    tables: bool
    step_s: float


class Answer(msgspec.Struct):
    """One answer of the child process; `status` is an exit status as `subprocess` counts it."""

    status: int
    reason: str
    #: A PdfDocument as MessagePack, when `status` is 0.
    document: bytes
    #: CPU-seconds of reading it.
    cpu_s: float


class _Process:
    """The running child process; it reads one document at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: ChildProcess | None = None

    def ask(self, request: Request) -> Answer:
        """Return the answer to a request. Raises SourceError when none comes."""
        with self._lock:
            process = self._started()
            assert process.stdin is not None
            try:
                process.stdin.write(msgspec.json.encode(request) + b"\n")
                process.stdin.flush()
                size = int.from_bytes(self._read(process, 8), "big")
                return msgspec.msgpack.decode(self._read(process, size), type=Answer)
            except TimeoutError as error:
                self.stop()
                raise SourceError(f"a PDF that takes more than {MAX_WAIT_S:.0f} s") from error
            except (OSError, EOFError, msgspec.DecodeError) as error:
                self.stop()
                raise SourceError("the process that reads PDFs ended without an answer") from error

    def _started(self) -> ChildProcess:
        if self._running is None or not self._running.running:
            self.stop()
            self._running = ChildProcess(
                [sys.executable, "-m", "securetag.extractors.readers.pdf.mupdf"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=STDERR,
                # The thread that starts it may end before others are done with it; without us it ends too,
                # since it reads the end of its input then.
                dies_with_parent=False,
            )
        return self._running

    @staticmethod
    def _read(process: ChildProcess, size: int) -> bytes:
        assert process.stdout is not None
        parts, missing = [], size
        with DefaultSelector() as selector:
            selector.register(process.stdout, EVENT_READ)
            while missing:
                if not selector.select(MAX_WAIT_S):
                    raise TimeoutError
                part = os.read(process.stdout.fileno(), min(missing, 1 << 20))
                if not part:
                    raise EOFError
                parts.append(part)
                missing -= len(part)
        return b"".join(parts)

    def stop(self) -> None:
        """End the process and its children."""
        process, self._running = self._running, None
        if process is not None:
            process.end(grace_s=0)


@cache
def _get_process(owner: int) -> _Process:  # noqa: ARG001  # a fork of the caller gets one of its own
    process = _Process()
    atexit.register(process.stop)
    return process


def stop() -> None:
    """End the warm process, if there is one; the next document starts another."""
    _get_process(os.getpid()).stop()


def load_document(path: Path, *, tables: bool, step_s: float = MAX_STEP_CPU_S) -> PdfDocument:
    """Return the document. Raises SourceError for one that can't be read or costs too much."""
    damage = _inspect_ends(path)
    answer = _get_process(os.getpid()).ask(Request(str(path), tables, step_s))
    if answer.status == -signal.SIGPROF:
        raise SourceError(
            f"a PDF of which one page takes more than {step_s:g} CPU-seconds",
            hint="Is it damaged, or made to?",
        )
    if answer.status != 0:
        reason = answer.reason or f"PyMuPDF ended with {answer.status}"
        raise SourceError(f"not a readable PDF: {'; '.join(filter(None, [damage, reason]))}")
    document = msgspec.msgpack.decode(answer.document, type=PdfDocument)
    document.cpu_s = answer.cpu_s
    document.damage = damage or document.damage
    if not document.pages:
        raise SourceError(f"not a readable PDF: {document.damage or 'it has no pages'}")
    return document


def _inspect_ends(path: Path) -> str:
    """Return how the file is damaged at its ends, empty for a sound one.

    Raises SourceError for other formats.
    """
    try:
        with path.open("rb") as file:
            head = file.read(signature.HEAD_BYTES)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - signature.TAIL_BYTES))
            tail = file.read()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    if other := signature.find_other_format(head):
        raise SourceError(f"is {other}, not PDF")
    if signature.is_cut_off(tail):
        return "it is cut off: its end is missing"
    return "" if signature.has_header(head) else "it is damaged: its beginning is missing"
