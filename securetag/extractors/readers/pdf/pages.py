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
from securetag.system.processes import ChildProcess

#: Maximum CPU-seconds of opening the document, and of each page; a page with tables takes 0.7.
MAX_STEP_CPU_S = 5.0
#: Maximum wall seconds of waiting for an answer, long enough for a busy machine.
MAX_WAIT_S = 900.0
#: What the child process prints goes where our own messages go.
STDERR = 2


class Line(msgspec.Struct, array_like=True, gc=False):
    """A horizontal run of text without wide gaps."""

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


class Page(msgspec.Struct):
    """One page; `images` separates a page of pictures from an empty one."""

    width: int
    height: int
    lines: list[Line]
    images: int = 0
    #: Why the page couldn't be read; empty where it could.
    error: str = ""


class PdfDocument(msgspec.Struct):
    """The pages and the outline of a PDF."""

    title: str
    #: (level, title, page) from the outline, pages from 1.
    toc: list[tuple[int, str, int]]
    pages: list[Page]
    #: CPU-seconds of its child process, which the system adds to ours only when the process ends.
    cpu_s: float = 0.0


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
    """Return the document. Raises SourceError when it is encrypted, damaged, too slow or too large."""
    answer = _get_process(os.getpid()).ask(Request(str(path), tables, step_s))
    if answer.status == -signal.SIGPROF:
        raise SourceError(
            f"a PDF of which one page takes more than {step_s:g} CPU-seconds",
            hint="Is it damaged, or made to?",
        )
    if answer.status != 0:
        reason = answer.reason or f"PyMuPDF ended with {answer.status}"
        raise SourceError(f"not a readable PDF: {reason}")
    document = msgspec.msgpack.decode(answer.document, type=PdfDocument)
    document.cpu_s = answer.cpu_s
    return document
