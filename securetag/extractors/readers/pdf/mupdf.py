"""The child process that reads PDFs; only this module and `grids` use PyMuPDF (AGPL-3.0).

`python -m securetag.extractors.readers.pdf.mupdf` reads a `Request` a line and answers each with eight
bytes of length and an `Answer` (see `pages`). Each document is read in a fork with limits of its
own. Text comes as MuPDF's own JSON, which costs a third of what PyMuPDF's dict does:
https://mupdf.readthedocs.io/en/latest/reference/c/fitz/stext.html
"""

from __future__ import annotations

import gc
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from securetag.extractors.readers.pdf import spans as pdf_spans
from securetag.extractors.readers.pdf.pages import Answer, Page, PdfDocument, Request

if TYPE_CHECKING:
    from pymupdf import Document

#: Maximum address space of a document's process, bytes; the largest publication so far needs 0.5 GiB.
MAX_MEMORY_BYTES = 1 << 30
#: CPU-seconds of a whole document: the base, and what each page that isn't empty adds.
BASE_CPU_S, PAGE_CPU_S = 8.0, 1.0
#: Maximum bytes of an answer; 1,000 pages make 10 MB.
MAX_ANSWER_BYTES = 256 << 20
#: Maximum consecutive pages that can't be read before the document is given up.
MAX_BROKEN_PAGES = 50
#: Maximum characters of a reason.
_MAX_REASON_CHARS = 300
#: Warnings of MuPDF that mean lost text.
_DAMAGE = re.compile(
    r"zlib|lzw|inflate|syntax error|premature|truncated|cannot (?:load|find|read|decode|open)", re.I
)


def read_document(request: Request, pymupdf: ModuleType) -> PdfDocument:
    """Return the document. Raises ValueError, and what MuPDF's bindings raise."""
    _allow_cpu_seconds(request.step_s)
    document = pymupdf.open(request.path, filetype="pdf")
    if document.needs_pass and not document.authenticate(""):
        raise ValueError("it is encrypted and asks for a password")
    pages = list(_read_pages(document, request, pymupdf))
    _allow_cpu_seconds(request.step_s)
    title = (document.metadata or {}).get("title") or ""
    damage = "it is damaged: its table of objects had to be rebuilt" if document.is_repaired else ""
    return PdfDocument(title, _read_outline(document), pages, damage=damage)


def _read_outline(document: Document) -> list[tuple[int, str, int]]:
    """Return the outline; empty when it is broken or too deep, so that headings come from the type."""
    try:
        return [(level, title, page) for level, title, page in document.get_toc()]
    except (RuntimeError, ValueError):  # RecursionError and MuPDF's own derive from RuntimeError
        return []


def _read_pages(document: Document, request: Request, pymupdf: ModuleType) -> Iterator[Page]:
    from securetag.extractors.readers.pdf import grids as pdf_grids

    allowed, broken = BASE_CPU_S, 0
    for number in range(document.page_count):
        _allow_cpu_seconds(request.step_s)
        try:
            page: Any = document[number]  # most of its methods have no types
            read = pdf_spans.make_page(_read_page_text(page, pymupdf))
            if not read.lines:
                read.images = len(page.get_images())
            elif request.tables:
                pdf_grids.replace_ruled_tables(page, read)
            read.error = _find_damage(pymupdf)
            broken = 0
        except Exception as error:  # one page costs no other, whatever MuPDF's bindings raise
            read = Page(0, 0, [], error=_format_error(error))
            broken += 1
            if broken > MAX_BROKEN_PAGES:
                raise ValueError(f"{broken} pages in a row can't be read: {read.error}") from error
        allowed += PAGE_CPU_S if read.lines or read.images else 0.0
        if time.process_time() > allowed:
            raise ValueError(f"it takes more than {allowed:.0f} CPU-seconds")
        yield read


def _find_damage(pymupdf: ModuleType) -> str:
    """Return what of the page MuPDF had to leave out; empty for a sound page."""
    warnings: str = pymupdf.TOOLS.mupdf_warnings(reset=True)
    damage = next((line for line in warnings.splitlines() if _DAMAGE.search(line)), "")
    return f"it is damaged, text may be missing: {damage[:_MAX_REASON_CHARS]}" if damage else ""


def _read_page_text(page: Any, pymupdf: ModuleType) -> pdf_spans.PageText:
    """Return the text of a page as spans, turned upright where most of it is rotated."""
    text = pdf_spans.decode_page_text(_print_stext(page, pymupdf), page.rect.width, page.rect.height)
    turn = pdf_spans.find_rotation(text)
    if turn:
        page.set_rotation((page.rotation + turn) % 360)
        text = pdf_spans.decode_page_text(_print_stext(page, pymupdf), page.rect.width, page.rect.height)
    return text


def _print_stext(page: Any, pymupdf: ModuleType) -> bytes:
    """Return MuPDF's JSON of the page as displayed (with its rotation), lengths in tenths of a point."""
    mupdf = pymupdf.mupdf
    options = mupdf.FzStextOptions()
    # No ligatures (`fi` is two letters), and spans apart, so that each has one font.
    options.flags = pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_MEDIABOX_CLIP
    options.flags |= mupdf.FZ_STEXT_PRESERVE_SPANS
    buffer = mupdf.fz_new_buffer(1 << 15)
    output = mupdf.FzOutput(buffer)
    mupdf.fz_print_stext_page_as_json(output, mupdf.FzStextPage(page.this, options), 10.0)
    output.fz_close_output()
    return bytes(buffer.fz_buffer_extract())


def _format_error(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:_MAX_REASON_CHARS]


def _limit_resources() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _allow_cpu_seconds(seconds: float) -> None:
    """Let the process run for so many more CPU-seconds.

    Native code can't be interrupted by an exception, but the default action of SIGPROF ends the process
    anywhere.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _answer_in_fork(request: Request, pymupdf: ModuleType, answer: int) -> int:
    """Write the document, or the reason why there is none, to the pipe; the exit status."""
    try:
        _limit_resources()
        data, status = msgspec.msgpack.encode(read_document(request, pymupdf)), 0
        if len(data) > MAX_ANSWER_BYTES:
            raise ValueError(f"it holds more than {MAX_ANSWER_BYTES >> 20} MiB of text")
    except Exception as error:  # whatever a file provokes is a reason
        data, status = _format_error(error).encode(), 1
    signal.setitimer(signal.ITIMER_PROF, 0)
    with open(answer, "wb") as pipe:
        pipe.write(data)
    return status


def _answer(request: Request, pymupdf: ModuleType) -> Answer:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            status = _answer_in_fork(request, pymupdf, writing)
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as pipe:
        data = pipe.read()
    _, ended, used = os.wait4(child, 0)
    status, cpu_s = os.waitstatus_to_exitcode(ended), used.ru_utime + used.ru_stime
    if status == 0:
        return Answer(0, "", data, cpu_s)
    return Answer(status, data[:_MAX_REASON_CHARS].decode(errors="replace") if status > 0 else "", b"", cpu_s)


def main() -> int:
    """Serve requests until standard input ends."""
    # The layout model that PyMuPDF imports by itself costs 0.3 CPU-seconds and 250 MB of address space
    # at every start, and isn't used here.
    sys.modules["pymupdf.layout"] = None  # type: ignore[assignment]
    import pymupdf as untyped

    pymupdf: ModuleType = untyped  # its stubs lack half of what its documentation names
    pymupdf.no_recommend_layout()  # it would advertise on standard output
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    gc.disable()  # a fork lives for one document, and a collection would copy the pages that it shares
    gc.freeze()
    for line in sys.stdin.buffer:
        data = msgspec.msgpack.encode(_answer(msgspec.json.decode(line, type=Request), pymupdf))
        sys.stdout.buffer.write(len(data).to_bytes(8, "big") + data)
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
