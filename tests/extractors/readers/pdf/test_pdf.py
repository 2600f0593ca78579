from __future__ import annotations

import os

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import Failure
from securetag.extractors.readers.base import Drop
from securetag.extractors.readers.pdf.lines import Words, escape_markup, join_lines
from securetag.extractors.readers.pdf.pages import Line
from securetag.extractors.readers.pdf.reader import PdfReader
from securetag.records import Record

pymupdf = pytest.importorskip("pymupdf")

BODY = [
    "The door of a house must be closed whenever nobody is at home, and a per-",
    "son who leaves it open is asked to explain. A cost-effective lock is a cost-",
    "effective measure. The AES-",
    "128 lock is described elsewhere in this publication and not repeated here.",
]


def document(*, outline: bool, pages: int = 4) -> pymupdf.Document:
    """Pages with a running head, a foot with the page's number, margin text, and a heading each."""
    made = pymupdf.open()
    for number in range(1, pages + 1):
        page = made.new_page()
        page.insert_text((72, 40), "PUBLICATION 99 REV. 1", fontsize=10)
        page.insert_text((300, 770), str(number), fontsize=10)
        page.insert_text((30, 500), "This publication is free.", fontsize=9, rotate=90)
        page.insert_text((72, 100), f"{number} Chapter {number}", fontsize=16, fontname="hebo")
        for line, text in enumerate(BODY):
            page.insert_text((72, 130 + 14 * line), text, fontsize=11)
        page.insert_text((72, 220), "\u2022 a bullet that stands alone", fontsize=11)
        page.insert_text((72, 700), f"{number} A footnote in small print.", fontsize=8)
    if outline:
        made.set_toc([[1, f"{n} Chapter {n}", n] for n in range(1, pages + 1)])
    return made


@pytest.mark.parametrize("outline", [pytest.param(True, id="outline"), pytest.param(False, id="type")])
def test_sections(make_source: MakeSource, make_file: MakeFile, outline: bool) -> None:
    file = make_file("P99.pdf", document(outline=outline).tobytes())
    source = make_source(options={"title": "Doors", "whole": 400})
    records = [item for item in PdfReader(source).read([file]) if isinstance(item, Record)]
    assert [record.key for record in records] == [f"P99#{n}-chapter-{n}" for n in range(1, 5)]
    second = records[1]
    assert second.locator == "page 2"
    assert second.url.endswith("P99.pdf#page=2")
    assert second.facts.section == ["Doors", "2 Chapter 2"]
    assert "a person who leaves it open" in second.text
    assert "cost-effective measure" in second.text
    assert "AES-128 lock" in second.text
    assert "- a bullet that stands alone" in second.text
    assert second.text.endswith("A footnote in small print.")
    assert "PUBLICATION 99" not in second.text
    assert "free" not in second.text


def test_a_ruled_table_becomes_markdown(make_source: MakeSource, make_file: MakeFile) -> None:
    made = document(outline=True)
    page = made[1]
    for row in range(4):
        page.draw_line((72, 300 + 20 * row), (432, 300 + 20 * row))
    for column in range(4):
        page.draw_line((72 + 120 * column, 300), (72 + 120 * column, 360))
        for row in range(3 if column < 3 else 0):
            page.insert_text((78 + 120 * column, 314 + 20 * row), f"cell {row} {column}", fontsize=9)
    file = make_file("P99.pdf", made.tobytes())
    records = [
        i for i in PdfReader(make_source(options={"whole": 400})).read([file]) if isinstance(i, Record)
    ]
    expected = "| cell 0 0 | cell 0 1 | cell 0 2 |\n| --- | --- | --- |\n| cell 1 0 | cell 1 1 | cell 1 2 |"
    assert expected in next(record.text for record in records if record.locator == "page 2")


def test_pages_of_images_are_reported(make_source: MakeSource, make_file: MakeFile) -> None:
    made = document(outline=True)
    picture = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 8, 8), False)
    picture.clear_with(120)
    made.new_page().insert_image(pymupdf.Rect(0, 0, 300, 300), pixmap=picture)
    items = list(PdfReader(make_source()).read([make_file("a.pdf", made.tobytes())]))
    assert Drop("a page of images only", "page 5") in items


def test_encrypted_with_a_password_is_refused_and_with_an_owners_only_is_read(
    make_source: MakeSource, make_file: MakeFile
) -> None:
    made, method = document(outline=True), pymupdf.PDF_ENCRYPT_AES_256
    closed = make_file("c.pdf", made.tobytes(encryption=method, owner_pw="o", user_pw="u"))
    opened = make_file("o.pdf", made.tobytes(encryption=method, owner_pw="o", user_pw=""))
    (failure,) = PdfReader(make_source()).read([closed])
    assert isinstance(failure, Failure)
    assert "password" in failure.reason
    assert any(isinstance(item, Record) for item in PdfReader(make_source()).read([opened]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "is empty, not PDF", id="empty"),
        pytest.param(b"%PDF-1.7\n", "it is cut off", id="header alone"),
        pytest.param(b"<html><body>Not found</body></html>", "is HTML, not PDF", id="HTML"),
        pytest.param(b"\xef\xbb\xbf<!-- a --><!DOCTYPE html><p>Not found", "is HTML, not PDF", id="HTML 5"),
        pytest.param(b"<?xml version='1.0'?><Error/>", "is XML, not PDF", id="XML"),
        pytest.param(b"PK\x03\x04rest", "is a ZIP archive or an office file, not PDF", id="zip"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "is an image, not PDF", id="PNG"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS", id="LFS"),
        pytest.param(os.urandom(5000), "not a readable PDF", id="random bytes"),
    ],
)
def test_what_is_no_pdf_is_named(
    make_source: MakeSource, make_file: MakeFile, content: bytes, reason: str
) -> None:
    (failure,) = PdfReader(make_source()).read([make_file("a.pdf", content)])
    assert isinstance(failure, Failure)
    assert reason in failure.reason


def test_hyphens_are_mended_as_the_document_itself_writes_the_word() -> None:
    inside = "A cost-effective cross-site measure for applications, by a key owner; wrapping a key"
    words = Words([[Line(0, 0, 10, 10, 100, False, False, inside)]])
    broken = ["web appli-", "cations are cost-", "effective and re-", "use cross-", "site key-", "wrapping"]
    assert (
        join_lines(broken, words) == "web applications are cost-effective and reuse cross-site key-wrapping"
    )
    assert join_lines(["la segu-", "ridad, AES-", "128"], words) == "la seguridad, AES-128"


def test_text_of_a_pdf_is_no_markup() -> None:
    assert escape_markup("send <b>bold</b> and &lt; here") == "send `<b>bold</b>` and `&lt;` here"
    assert escape_markup("<script>alert(1)</script>") == "`<script>alert(1)</script>`"
    assert escape_markup("a < b and c > d, R&D") == "a < b and c > d, R&D"
    assert escape_markup("# a shell's prompt") == "\\# a shell's prompt"


def test_listings_keep_their_lines_and_indentation(make_source: MakeSource, make_file: MakeFile) -> None:
    made = document(outline=True)
    for line, text in enumerate(["def open(door):", "    if door.locked:", "        return None"]):
        made[2].insert_text((72, 300 + 13 * line), text, fontsize=10, fontname="cour")
    records = [
        item
        for item in PdfReader(make_source(options={"whole": 400})).read([make_file("P.pdf", made.tobytes())])
        if isinstance(item, Record)
    ]
    third = next(record for record in records if record.locator == "page 3")
    assert "```\ndef open(door):\n    if door.locked:\n        return None\n```" in third.text


def test_pages_set_in_columns_are_read_one_column_after_the_other(
    make_source: MakeSource, make_file: MakeFile
) -> None:
    made = pymupdf.open()
    page = made.new_page()
    page.insert_text((60, 80), "A title that runs over all of the columns of this page", fontsize=16)
    for column, x in enumerate((60, 230, 400)):
        for line in range(12):
            page.insert_text((x, 120 + 14 * line), f"column {column} line {line:02} of text", fontsize=10)
    page.insert_text(
        (60, 320), "A line across the foot of all of the columns, which comes after them.", fontsize=10
    )
    (record,) = [
        item
        for item in PdfReader(make_source()).read([make_file("P.pdf", made.tobytes())])
        if isinstance(item, Record)
    ]
    places = [
        record.text.index(f"column {column} line {line:02}") for column in range(3) for line in range(12)
    ]
    assert places == sorted(places)
    assert record.text.index("A line across") > places[-1]


@pytest.mark.parametrize("rotation", [0, 90, 270], ids=str)
def test_pages_on_their_side_are_read(make_source: MakeSource, make_file: MakeFile, rotation: int) -> None:
    """Both ways of doing it: text written upwards, and an upright page that is shown turned."""
    made = pymupdf.open()
    page = made.new_page()
    for line in range(8):
        place = (60 + 14 * line, 700) if rotation == 0 else (60, 60 + 14 * line)
        page.insert_text(place, f"line {line} of a page on its side", rotate=90 if rotation == 0 else 0)
    page.set_rotation(rotation)
    (record,) = [
        item
        for item in PdfReader(make_source()).read([make_file("P.pdf", made.tobytes())])
        if isinstance(item, Record)
    ]
    assert [record.text.index(f"line {line}") for line in range(8)] == sorted(
        record.text.index(f"line {line}") for line in range(8)
    )


def test_contents_pages_are_left_out_with_a_reason(make_source: MakeSource, make_file: MakeFile) -> None:
    made = document(outline=True)
    page = made.new_page(0)
    page.insert_text((72, 80), "Contents", fontsize=16)
    for line in range(9):
        page.insert_text((72, 120 + 14 * line), f"Chapter {line} {'.' * 40} {line + 3}", fontsize=10)
    items = list(PdfReader(make_source()).read([make_file("a.pdf", made.tobytes())]))
    assert Drop("a contents page", "page 1") in items
    assert not any("....." in item.text for item in items if isinstance(item, Record))


def test_a_document_of_images_alone_is_a_failure(make_source: MakeSource, make_file: MakeFile) -> None:
    made = pymupdf.open()
    picture = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 8, 8), False)
    made.new_page().insert_image(pymupdf.Rect(0, 0, 300, 300), pixmap=picture)
    items = list(PdfReader(make_source()).read([make_file("a.pdf", made.tobytes())]))
    assert items[0] == Drop("a page of images only", "page 1")
    assert isinstance(items[1], Failure)
    assert "no text" in items[1].reason


def test_a_ruled_table_on_a_page_that_is_shown_turned(make_source: MakeSource, make_file: MakeFile) -> None:
    made = pymupdf.open()
    page = made.new_page(width=792, height=612)
    page.insert_text(
        (72, 60), "A paragraph above the table, on a page as wide as a table needs.", fontsize=11
    )
    for row in range(4):
        page.draw_line((72, 100 + 20 * row), (672, 100 + 20 * row))
    for column in range(4):
        page.draw_line((72 + 200 * column, 100), (72 + 200 * column, 160))
        for row in range(3 if column < 3 else 0):
            page.insert_text((78 + 200 * column, 114 + 20 * row), f"cell {row} {column}", fontsize=9)
    turned = pymupdf.open()
    upright = turned.new_page(width=612, height=792)
    upright.show_pdf_page(upright.rect, made, 0, rotate=90)
    upright.set_rotation(90)
    (record,) = [
        item
        for item in PdfReader(make_source()).read([make_file("P.pdf", turned.tobytes())])
        if isinstance(item, Record)
    ]
    assert "| cell 0 0 | cell 0 1 | cell 0 2 |\n| --- | --- | --- |\n| cell 1 0 |" in record.text


def test_a_spanish_publication(make_source: MakeSource, make_file: MakeFile) -> None:
    made = pymupdf.open()
    page = made.new_page()
    page.insert_text((72, 60), "Índice", fontsize=16)
    for line in range(8):
        page.insert_text((72, 100 + 14 * line), f"Capítulo {line} {'.' * 30} {line + 2}", fontsize=10)
    page = made.new_page()
    page.insert_text((72, 80), "1. Introducción", fontsize=16)
    words = [
        "La puerta de una casa debe estar cerrada siempre que no haya nadie, y la persona que la deja",
        "abierta tiene que explicar por qué. Una organización no es más segura por tener más cerra-",
        "duras, sino por saber quién tiene las llaves; las llaves perdidas se anotan cada tarde.",
    ]
    for line, text in enumerate(words):
        page.insert_text((72, 110 + 14 * line), text, fontsize=10)
    items = list(PdfReader(make_source(options={"whole": 100})).read([make_file("P.pdf", made.tobytes())]))
    assert items[0] == Drop("a contents page", "page 1")
    (record,) = [item for item in items if isinstance(item, Record)]
    assert record.lang == "es"
    assert record.facts.section[-1] == "1. Introducción"
    assert "más cerraduras, sino" in record.text


def test_exponents_stay_and_footnote_marks_go(make_source: MakeSource, make_file: MakeFile) -> None:
    made = document(outline=True)
    made[0].insert_text((72, 250), "It takes 2", fontsize=11)
    made[0].insert_text((72 + pymupdf.get_text_length("It takes 2", fontsize=11), 246), "128", fontsize=7)
    made[0].insert_text((72, 280), "doors in a house", fontsize=11)
    made[0].insert_text(
        (72 + pymupdf.get_text_length("doors in a house", fontsize=11), 276), "12", fontsize=7
    )
    source = make_source(options={"whole": 400})
    records = [
        i for i in PdfReader(source).read([make_file("P.pdf", made.tobytes())]) if isinstance(i, Record)
    ]
    assert "It takes 2^128" in records[0].text
    assert "doors in a house\n" in records[0].text
