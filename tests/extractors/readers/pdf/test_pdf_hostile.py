"""PDFs that were made to hurt: each gives a clear answer within 10 s and 1 GiB, and costs no other."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_fixtures import MakeFile, MakeSource
from within import MOST_BYTES, MOST_CPU_S, alone

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure
from securetag.extractors.readers.base import Item
from securetag.extractors.readers.pdf import pages as pdf_pages
from securetag.extractors.readers.pdf.reader import PdfReader
from securetag.records import Record

pymupdf = pytest.importorskip("pymupdf")

FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def pdf(*objects: bytes, root: int = 1) -> bytes:
    """A PDF of these objects, numbered from 1, with a true cross-reference table."""
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return bytes(
        out + b"trailer << /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, root, table)
    )


def stream(data: bytes, extra: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), extra, data)


CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGES = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
WORDS = (
    b"BT /F1 12 Tf 14 TL 72 700 Td (A page of text that is long enough to become a Record,) Tj T* "
    b"(since it goes on for a second line, and a section of fewer characters is a stub.) Tj ET "
)
TEXT = stream(WORDS)


def page(extra: bytes = b"", box: bytes = b"0 0 612 792") -> bytes:
    fonts = b"/Resources << /Font << /F1 5 0 R >> >>"
    return b"<< /Type /Page /Parent 2 0 R /MediaBox [%s] /Contents 4 0 R %s %s >>" % (box, fonts, extra)


def looping_tree() -> bytes:
    return pdf(
        CATALOG,
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R] /Count 1 >>",
    )


def bomb() -> bytes:
    """A content stream of a few kilobytes that unpacks twice, to 4 GiB."""
    packer = zlib.compressobj(9)
    block = packer.compress(b"BT (a) Tj ET " * 80_000) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b"BT (a) Tj ET " * 80_000) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = zlib.compress(block + again * 4_000, 9)
    return pdf(CATALOG, PAGES, page(), stream(packed, b"/Filter [/FlateDecode /FlateDecode]"), FONT)


def claims_many_pages() -> bytes:
    return pdf(CATALOG, b"<< /Type /Pages /Kids [3 0 R] /Count 100000 >>", page(), TEXT, FONT)


def looping_outline() -> bytes:
    entry = b"<< /Title (Chapter) /Parent 6 0 R /Dest [3 0 R /Fit] /First 7 0 R /Next 8 0 R >>"
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R /Outlines 6 0 R >>",
        PAGES,
        page(),
        TEXT,
        FONT,
        b"<< /Type /Outlines /First 7 0 R /Last 8 0 R /Count 2 >>",
        entry,
        entry.replace(b"/Next 8 0 R", b"/Next 7 0 R"),
    )


def deep_outline(depth: int = 20_000) -> bytes:
    entries = [
        b"<< /Title (Deep) /Parent %d 0 R /First %d 0 R /Last %d 0 R /Dest [3 0 R /Fit] >>"
        % (5 + n, 7 + n, 7 + n)
        for n in range(1, depth)
    ]
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R /Outlines 6 0 R >>",
        PAGES,
        page(),
        TEXT,
        FONT,
        b"<< /Type /Outlines /First 7 0 R /Last 7 0 R /Count 1 >>",
        *entries,
        b"<< /Title (Deepest) /Parent %d 0 R >>" % (5 + depth),
    )


def calls_home() -> bytes:
    """An action on opening, a launch action and a file outside: none of them may happen."""
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /URI /URI (http://127.0.0.1:9/) >>"
        b" /AA << /WC << /S /Launch /F (touch) >> >> >>",
        PAGES,
        page(),
        TEXT,
        FONT,
    )


def many_rules() -> bytes:
    """A million rules, which a search for tables would compare with each other."""
    drawn = b"".join(b"%d %d 40 30 re S\n" % (x % 600, x % 790) for x in range(300_000))
    return pdf(CATALOG, PAGES, page(), stream(zlib.compress(WORDS + drawn), b"/Filter /FlateDecode"), FONT)


def many_words() -> bytes:
    text = (
        b"BT /F1 4 Tf "
        + b"".join(b"1 0 0 1 %d %d Tm (w%d) Tj " % (x % 600, x // 60 % 790, x) for x in range(200_000))
        + b"ET"
    )
    return pdf(CATALOG, PAGES, page(), stream(zlib.compress(text), b"/Filter /FlateDecode"), FONT)


WHOLE = pdf(CATALOG, PAGES, page(), TEXT, FONT)
HOSTILE: dict[str, Callable[[], bytes]] = {
    "a page tree that loops": looping_tree,
    "100,000 pages of which one exists": claims_many_pages,
    "an outline that loops": looping_outline,
    "an outline 20,000 deep": deep_outline,
    "300,000 rules": many_rules,
    "200,000 words on a page": many_words,
    "cut off in the middle": lambda: WHOLE[: len(WHOLE) // 2],
    "a page of a million points": lambda: pdf(CATALOG, PAGES, page(box=b"0 0 1e9 1e9"), TEXT, FONT),
    "a page without area": lambda: pdf(CATALOG, PAGES, page(box=b"0 0 0 0"), TEXT, FONT),
    "a page of infinite size": lambda: pdf(CATALOG, PAGES, page(box=b"0 0 1e400 -1e400"), TEXT, FONT),
    "contents that name themselves": lambda: pdf(CATALOG, PAGES, page(), b"[4 0 R 4 0 R]", FONT),
    "arrays nested 100,000 deep": lambda: pdf(CATALOG, PAGES, page(b"/X " + b"[" * 100_000), TEXT, FONT),
    "actions on opening": calls_home,
}


@pytest.mark.hostile
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pdfs_are_answered_in_time(make_source: MakeSource, make_file: MakeFile, name: str) -> None:
    hostile, whole = make_file("hostile.pdf", HOSTILE[name]()), make_file("whole.pdf", WHOLE)
    items = list(PdfReader(make_source()).read([hostile, whole]))
    assert any(isinstance(item, Record) and item.url.endswith("whole.pdf#page=1") for item in items)
    failures = [item for item in items if isinstance(item, Failure)]
    assert all(failure.reason and failure.file.endswith("hostile.pdf") for failure in failures)
    read = any(isinstance(item, Record) and "hostile" in item.url for item in items)
    assert failures or read


def test_a_process_that_ends_is_started_again(
    make_source: MakeSource, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_file("whole.pdf", WHOLE)
    monkeypatch.setattr(pdf_pages, "MAX_WAIT_S", 0.0)
    (failure,) = PdfReader(make_source()).read([whole])
    assert isinstance(failure, Failure)
    assert "takes more than" in failure.reason
    monkeypatch.undo()
    assert any(isinstance(item, Record) for item in PdfReader(make_source()).read([whole]))


def test_a_file_that_is_cut_off_says_so_and_its_readable_pages_come(
    make_source: MakeSource, make_file: MakeFile
) -> None:
    document = pymupdf.open()
    for number in range(1, 4):
        words = f"Page {number} has so many words that it is a Record of its own, not a stub of a page."
        document.new_page().insert_textbox((72, 72, 500, 700), f"{words} " * 3)
    data = document.tobytes()
    items = list(PdfReader(make_source()).read([make_file("a.pdf", data[: data.rindex(b"endstream") - 20])]))
    assert any(isinstance(item, Record) and "Page 1 has" in item.text for item in items)
    reasons = [item.reason for item in items if isinstance(item, Failure)]
    assert any("it is cut off: its end is missing" in reason for reason in reasons)
    nothing = list(PdfReader(make_source()).read([make_file("b.pdf", data[: data.index(b"stream")])]))
    assert not any(isinstance(item, Record) for item in nothing)
    assert any("cut off" in item.reason for item in nothing if isinstance(item, Failure))
    assert not any("scanned" in item.reason for item in nothing if isinstance(item, Failure))


def test_a_damaged_file_says_so(make_source: MakeSource, make_file: MakeFile) -> None:
    moved = make_file("moved.pdf", WHOLE.replace(b"startxref\n", b"startxref\n9"))
    failure, record = PdfReader(make_source()).read([moved])
    assert isinstance(failure, Failure)
    assert "its table of objects had to be rebuilt" in failure.reason
    assert isinstance(record, Record)
    packed = bytearray(zlib.compress(WORDS * 40))
    packed[len(packed) // 2] ^= 0xFF
    torn = pdf(CATALOG, PAGES, page(), stream(bytes(packed), b"/Filter /FlateDecode"), FONT)
    items = list(PdfReader(make_source()).read([make_file("torn.pdf", torn)]))
    failures = [item for item in items if isinstance(item, Failure)]
    assert any("damaged" in failure.reason for failure in failures)
    assert not any("scanned" in failure.reason for failure in failures)


def damage(whole: bytes, data: st.DataObject) -> bytes:
    """Bytes overwritten, removed or doubled, as a bad disk or a bad transfer does it."""
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(damaged) - 1))
        end = min(len(damaged), start + data.draw(st.integers(1, 60)))
        noise = data.draw(st.binary(min_size=end - start, max_size=end - start))
        damaged[start:end] = data.draw(st.sampled_from([b"", damaged[start:end] * 2, noise]))
        damaged += b"" if damaged else b"%"
    return bytes(damaged)


def check_damaged(items: list[Item]) -> None:
    """Records, or at least one failure; each failure has a reason for people."""
    failures = [item for item in items if isinstance(item, Failure)]
    assert failures or any(isinstance(item, Record) for item in items)
    for failure in failures:
        assert failure.reason
        assert not re.match(r"\w*(?:Error|Exception)\b", failure.reason), failure.reason


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_damage_gives_records_or_a_reason(
    make_source: MakeSource, make_file: MakeFile, data: st.DataObject
) -> None:
    check_damaged(list(PdfReader(make_source()).read([make_file("a.pdf", damage(WHOLE, data))])))


@pytest.mark.system
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_damage_of_packed_files(
    make_source: MakeSource, make_file: MakeFile, data: st.DataObject
) -> None:
    """With an outline, several pages and packed streams, of which most damage hits one."""
    document = pymupdf.open()
    for number in range(1, 4):
        words = f"Page {number} has so many words that it is a Record of its own, not a stub of a page. "
        document.new_page().insert_textbox((72, 72, 500, 700), words * 3)
    document.set_toc([[1, f"Page {number}", number] for number in range(1, 4)])
    whole = document.tobytes(deflate=True, use_objstms=data.draw(st.integers(0, 1)), no_new_id=True)
    reader = PdfReader(make_source())
    check_damaged(list(reader.read([make_file("a.pdf", damage(whole, data))])))
    assert reader.child_cpu_s < MOST_CPU_S


def test_a_pdf_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(many_words())
    with pytest.raises(SourceError, match="one page takes more than"):
        pdf_pages.load_document(path, tables=True, step_s=0.05)


#: Reads one file, and prints what the processes that did it spent: CPU-seconds and the peak of the largest.
READ = """
import json, resource, sys
from pathlib import Path
from securetag.extractors.catalog import FolderMethod, Source
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.pdf import pages
from securetag.extractors.readers.pdf.reader import PdfReader
path = Path(sys.argv[1])
source = Source(name="t", tier="core", publisher="T", dataset="t", title="T", edition="1", reader="pdf",
                url="https://example.org/", licence="CC-BY-4.0", folder=FolderMethod(str(path.parent)))
list(PdfReader(source).read([FetchedFile(path, "https://example.org/t", "0" * 64, "1", "CC-BY-4.0")]))
pages.stop()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""


@pytest.mark.system
@pytest.mark.parametrize("name", ["bomb", *HOSTILE])
def test_the_processes_that_read_it_keep_to_their_limits(tmp_path: Path, name: str) -> None:
    """In an interpreter of its own, since children's peaks are counted over the life of a process."""
    path = tmp_path / "hostile.pdf"
    path.write_bytes(bomb() if name == "bomb" else HOSTILE[name]())
    cpu_s, peak = json.loads(alone(READ, str(path)))
    assert cpu_s < MOST_CPU_S
    assert peak < MOST_BYTES
