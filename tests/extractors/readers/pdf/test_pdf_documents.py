"""Documents as people have them: papers, manuals in two languages, fonts with tall boxes, odd titles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib
import pytest
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import Failure
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.readers.pdf.front import is_title, strip_program
from securetag.extractors.readers.pdf.numbering import find_arabic_sections
from securetag.extractors.readers.pdf.pages import Line
from securetag.extractors.readers.pdf.reader import PdfReader, make_titles
from securetag.extractors.text.sections import Piece
from securetag.records import Record

pymupdf = pytest.importorskip("pymupdf")

DEJAVU = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
#: Two sentences of English and of Spanish, long enough to be a Record and to show their language.
ENGLISH = [
    "The door of a house must be closed whenever nobody is at home, and the person",
    "who leaves it open is asked to explain. This is not a matter of trust: it is the",
    "rule that all of the neighbors have agreed on, and that they keep to every day.",
]
SPANISH = [
    "La puerta de una casa debe estar cerrada siempre que no haya nadie, y la persona",
    "que la deja abierta tiene que explicar por qué. Las llaves perdidas se anotan cada",
    "tarde en un cuaderno, y los vecinos que las encuentran las llevan a la portería.",
]
Read = Callable[..., list[Item]]


class Sheet:
    """A PDF that is written line by line, from the top of each page."""

    def __init__(self) -> None:
        self.document = pymupdf.open()
        self.turn()

    def turn(self) -> None:
        """Begin a page."""
        self.page = self.document.new_page()
        self.y = 60.0

    def write(
        self,
        *lines: str,
        size: float = 11,
        font: str = "helv",
        x: float = 72,
        gap: float = 0,
        **options: object,
    ) -> None:
        """Write lines below the last one, with a gap of `gap` points above them."""
        self.y += gap
        for line in lines:
            self.y += 1.25 * size
            self.page.insert_text((x, self.y), line, fontsize=size, fontname=font, **options)


@pytest.fixture
def read(make_source: MakeSource, make_file: MakeFile) -> Read:
    def read_sheet(sheet: Sheet, *, name: str = "P.pdf", whole: int = 100) -> list[Item]:
        source = make_source(options={"whole": whole})
        return list(PdfReader(source).read([make_file(name, sheet.document.tobytes())]))

    return read_sheet


def records(items: list[Item]) -> list[Record]:
    return [item for item in items if isinstance(item, Record)]


def headings(items: list[Item]) -> list[str]:
    return [record.facts.section[-1] for record in records(items)]


@pytest.fixture(scope="module")
def tall_font(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A font whose boxes reach four lines above the baseline and three below."""
    font = TTFont(DEJAVU)
    font["hhea"].ascent = font["OS/2"].usWinAscent = font["OS/2"].sTypoAscender = 9000
    font["hhea"].descent = font["OS/2"].sTypoDescender = -6000
    font["OS/2"].usWinDescent = 6000
    path = tmp_path_factory.mktemp("font") / "tall.ttf"
    font.save(path)
    return str(path)


def test_lines_in_a_font_with_tall_boxes_keep_their_order(read: Read, tall_font: str) -> None:
    sheet = Sheet()
    for number in (1, 2, 3):
        sheet.write(f"{number} Heading {number}", size=14, font="hebo", gap=20)
        sheet.write(*ENGLISH, "ok", font="tall", fontfile=tall_font)
    items = read(sheet)
    assert headings(items) == ["1 Heading 1", "2 Heading 2", "3 Heading 3"]
    for record in records(items):
        assert record.text.startswith("The door of a house")
        assert record.text.endswith("every day. ok")  # a short word's box is taller than wide


def test_each_record_has_its_own_language(read: Read) -> None:
    sheet = Sheet()
    for number, lines in enumerate((ENGLISH, SPANISH, ENGLISH), 1):
        sheet.write(f"{number} AES-{number}", size=14, font="hebo", gap=20)
        sheet.write(*lines)
    assert [record.lang for record in records(read(sheet))] == ["en", "es", "en"]


def test_text_from_right_to_left_is_refused_with_a_reason(read: Read) -> None:
    hebrew = "שלום עולם, הדלת סגורה כאשר אין איש בבית"
    sheet = Sheet()
    sheet.write(*[hebrew] * 8, font="dj", fontfile=str(DEJAVU))
    (failure,) = read(sheet)
    assert isinstance(failure, Failure)
    assert "written from right to left" in failure.reason
    sheet.write(*ENGLISH * 3)
    sheet.turn()
    sheet.write(*ENGLISH)
    items = read(sheet)
    assert Drop("text from right to left, whose order is lost", "page 1") in items
    (record,) = records(items)
    assert record.text.startswith("The door")
    assert "שלום" not in record.text


@pytest.mark.parametrize("note_size", [8, 10], ids=str)
def test_footnotes_of_columns_are_kept_apart(read: Read, note_size: int) -> None:
    sheet = Sheet()
    for column, x in enumerate((60, 330)):
        sheet.y = 60
        words = [f"column {column} line {line:02} of a long text" for line in range(40)]
        sheet.write(*words, x=x, size=11)
        sheet.y = 680
        sheet.write(f"{column + 1} A note of column {column}", "that goes on.", x=x, size=note_size)
    (record,) = records(read(sheet, whole=10_000))
    paragraphs = record.text.split("\n\n")
    assert paragraphs[-2:] == ["A note of column 0 that goes on.", "A note of column 1 that goes on."]
    places = [record.text.index(f"column {c} line {n:02}") for c in range(2) for n in range(40)]
    assert places == sorted(places)


def write_front(sheet: Sheet) -> None:
    sheet.write("Doors and Windows: A Study of", "the Closing of Houses", size=20, font="hebo")
    sheet.write("Ada Byron     Grace Murray", size=13, font="hebo", gap=10)
    sheet.write("University of Somewhere     Institute of Houses", "ada@example.org     grace@example.org")


def test_authors_are_no_section_and_the_abstract_is_one(read: Read) -> None:
    sheet = Sheet()
    write_front(sheet)
    sheet.write("Abstract", size=10, font="hebo", gap=10)
    sheet.write(*ENGLISH)
    for number in (1, 2):
        sheet.write(f"{number} Part {number}", size=14, font="hebo", gap=20)
        sheet.write(*ENGLISH)
    items = read(sheet)
    assert headings(items) == ["Abstract", "1 Part 1", "2 Part 2"]
    title = "Doors and Windows: A Study of the Closing of Houses"
    assert next(record.title for record in records(items)) == f"{title}: Abstract"
    assert "example.org" not in " ".join(record.text for record in records(items))
    assert Drop("cover and front matter", "page 1") in items


def test_sections_of_a_paper_that_only_their_numbers_show(read: Read) -> None:
    sheet = Sheet()
    write_front(sheet)
    sheet.write(f"Abstract - {ENGLISH[0]}", *ENGLISH[1:], size=10, gap=10)
    for number, name in (("I", "INTRODUCTION"), ("II", "RELATED WORK"), ("III", "METHOD"), ("IV", "RESULTS")):
        sheet.write(f"{number}. {name}", x=250, size=10, gap=10)
        sheet.write(*ENGLISH, size=10)
        if number == "III":
            for letter, words in (("A", "Doors"), ("B", "Windows")):
                sheet.write(f"{letter}. {words}", size=10, font="heit", gap=6)
                sheet.write(*ENGLISH, size=10)
            sheet.turn()
    sheet.write("REFERENCES", x=250, size=10, gap=10)
    for number in (1, 2):
        sheet.write(f"[{number}] Somebody, A book about doors, somewhere, a long time ago, in 1900.", size=8)
    items = read(sheet)
    assert headings(items) == [
        "Abstract", "I. INTRODUCTION", "II. RELATED WORK", "III. METHOD", "A. Doors", "B. Windows",
        "IV. RESULTS",
    ]  # fmt: skip
    assert records(items)[4].facts.section[1:] == ["III. METHOD", "A. Doors"]
    assert Drop("front or back matter", "page 2") in items


def test_plain_numbers_are_sections_only_with_space_around_and_in_order() -> None:
    def line(y: int, text: str) -> Line:
        return Line(700, y, 700 + 50 * len(text), y + 110, 100, False, False, text)

    spaced = [
        line(1000, "1 Scope"), line(1300, "Words of the first section."), line(1600, "1.1 Doors"),
        line(1900, "Words of a subsection."), line(2200, "2 Terms"),
        line(2500, "Words of the second section."),
    ]  # fmt: skip
    assert find_arabic_sections([spaced]) == {(0, 0): 1, (0, 2): 2, (0, 4): 1}
    listed = [line(1000 + 120 * number, f"{number} An item of a list") for number in range(1, 6)]
    assert find_arabic_sections([listed]) == {}
    unordered = [line(1000 + 300 * number, f"{number} Lives of cats") for number in (9, 4, 7)]
    assert find_arabic_sections([unordered]) == {}


def test_headings_that_wrap_are_joined(read: Read) -> None:
    sheet = Sheet()
    sheet.write("1 A large heading that goes on", "in a second line", size=16, font="hebo")
    sheet.write(*ENGLISH)
    sheet.write("1.1 A small and bold heading with its number, which fills the whole", font="hebo", gap=10)
    sheet.write("column and then wraps", font="hebo", x=92)
    sheet.write(*ENGLISH)
    sheet.write(
        "2 Why is the door of a house open when all of us have the key to it, and", size=10.6, font="hebo"
    )
    sheet.write("who is it that leaves?", size=10.6, font="hebo")
    sheet.write(*ENGLISH)
    sheet.write("Consequences of unreasonable organizational responsibilities, and mis-", font="hebo", gap=10)
    sheet.write("configuration", font="hebo")
    sheet.write(*ENGLISH)
    assert headings(read(sheet)) == [
        "1 A large heading that goes on in a second line",
        "1.1 A small and bold heading with its number, which fills the whole column and then wraps",
        "2 Why is the door of a house open when all of us have the key to it, and who is it that leaves?",
        "Consequences of unreasonable organizational responsibilities, and misconfiguration",
    ]


def test_a_paragraph_in_large_type_is_no_heading(read: Read) -> None:
    sheet = Sheet()
    sheet.write("1 Doors", size=20, font="hebo")
    sheet.write(*ENGLISH, size=14, gap=10)
    sheet.write(*ENGLISH * 6, gap=10)
    (record,) = records(read(sheet))
    assert record.facts.section[-1] == "1 Doors"
    assert record.text.startswith("The door of a house")


def test_simulated_bold_is_a_heading_and_is_not_repeated(read: Read) -> None:
    sheet = Sheet()
    for name in ("Doors of houses", "Windows of houses"):
        y = sheet.y
        sheet.write(name, gap=20)
        sheet.y = y
        sheet.write(name, gap=20, x=72.4)
        sheet.write(*ENGLISH, gap=4)
    items = read(sheet)
    assert headings(items) == ["Doors of houses", "Windows of houses"]
    assert not any("houses" in record.text for record in records(items))


@pytest.mark.parametrize(
    ("metadata", "shown", "expected"),
    [
        pytest.param(
            "Microsoft Word - final_v3.docx", "The Closing of Doors", "The Closing of Doors", id="Word"
        ),
        pytest.param("untitled", "The Closing of Doors", "The Closing of Doors", id="placeholder"),
        pytest.param("manual.indd", "", "manual", id="file name"),
        pytest.param("", "", "P", id="nothing"),
        pytest.param("About doors", "The Closing of Doors", "About doors", id="written for readers"),
    ],
)
def test_the_title_is_the_documents_own(read: Read, metadata: str, shown: str, expected: str) -> None:
    sheet = Sheet()
    sheet.document.set_metadata({"title": metadata})
    if shown:
        sheet.write(shown, size=24, font="hebo")
    for number in (1, 2):
        sheet.write(f"{number} Part {number}", size=14, font="hebo", gap=20)
        sheet.write(*ENGLISH)
    items = read(sheet)
    assert [record.title for record in records(items)] == [f"{expected}: 1 Part 1", f"{expected}: 2 Part 2"]


def test_titles_that_programs_write() -> None:
    assert not is_title("Microsoft PowerPoint - slides", "x")
    assert not is_title("Presentación de PowerPoint", "x")
    assert not is_title("owasp_guide", "OWASP Guide")
    assert is_title("Guide to Microsoft Word", "x")
    assert strip_program("Microsoft Word - A plan.docx") == "A plan"


def test_sections_of_one_name_keep_their_chapter(read: Read) -> None:
    sheet = Sheet()
    sheet.document.set_metadata({"title": "Doors"})
    for chapter in (1, 2):
        sheet.write(f"{chapter} Chapter", size=18, font="hebo", gap=20)
        for name in ("Summary", "Summary"):
            sheet.write(name, size=14, font="hebo", gap=10)
            sheet.write(*ENGLISH)
        sheet.turn()
    assert [record.title for record in records(read(sheet))] == [
        "Doors: 1 Chapter: Summary (page 1)", "Doors: 1 Chapter: Summary (page 1) (2)",
        "Doors: 2 Chapter: Summary (page 2)", "Doors: 2 Chapter: Summary (page 2) (2)",
    ]  # fmt: skip


@given(st.lists(st.lists(st.sampled_from(["a", "b", "Summary", "b: a"]), max_size=4), max_size=12))
def test_no_two_records_of_a_document_share_a_title(paths: list[list[str]]) -> None:
    titles = make_titles([Piece(("Doors", *path), "text", 1) for path in paths])
    assert len(set(titles)) == len(paths)
    assert all(title.startswith("Doors") for title in titles)


def test_numbers_of_a_listing_are_no_table_of_contents(read: Read) -> None:
    sheet = Sheet()
    sheet.write("1 Numbers", size=14, font="hebo")
    sheet.write(*ENGLISH)
    sheet.write(*[f"> row {number} {number * 7}" for number in range(1, 25)], font="cour")
    (record,) = records(read(sheet))
    assert "> row 24 168" in record.text


def test_sections_below_a_heading_of_contents_are_read(read: Read) -> None:
    sheet = Sheet()
    sheet.write("Contents", size=18, font="hebo")
    for number in (1, 2):
        sheet.write(f"{number} Part {number}", size=14, font="hebo", gap=20)
        sheet.write(*ENGLISH)
    items = read(sheet)
    assert [record.facts.section[1:] for record in records(items)] == [["1 Part 1"], ["2 Part 2"]]


def test_a_bold_heading_with_code_in_it(read: Read) -> None:
    sheet = Sheet()
    for number in (1, 2):
        sheet.write(f"{number}. What does the function", font="hebo", gap=20)
        x = 72 + pymupdf.get_text_length(f"{number}. What does the function ", "hebo", 11)
        sheet.page.insert_text((x, sheet.y), "close()", fontsize=11, fontname="cour")
        sheet.write(*ENGLISH)
    assert headings(read(sheet)) == [f"{n}. What does the function `close()`" for n in (1, 2)]


def test_a_chapter_that_tells_nothing_is_not_in_the_titles() -> None:
    """It holds nearly all of the document, or the document's title ends with it."""
    paths = [("Guide: Doors", "RELEASE", f"Part {number}") for number in range(9)]
    paths.append(("Guide: Doors", "Annex", "Words"))
    titles = make_titles([Piece(path, "text", 1) for path in paths])
    assert titles[0] == "Guide: Doors: Part 0"
    assert titles[-1] == "Guide: Doors: Annex: Words"
    named = [("Tests: User Guide", chapter, f"{n}") for n, chapter in enumerate(["User Guide", "Other"] * 2)]
    assert make_titles([Piece(path, "text", 1) for path in named]) == [
        "Tests: User Guide: 0",
        "Tests: User Guide: Other: 1",
        "Tests: User Guide: 2",
        "Tests: User Guide: Other: 3",
    ]


def test_labels_of_a_figure_are_no_headings(read: Read) -> None:
    sheet = Sheet()
    sheet.write("Doors", size=16, font="hebo")
    sheet.write(*ENGLISH)
    for x, label in ((180, "GATEKEEPER"), (300, "Ledger"), (330, "KEY CABINET")):
        sheet.write(label, size=14, font="hebo", x=x, gap=20)
    sheet.write(*ENGLISH, gap=30)
    for title in ("Keys", "Locks"):
        sheet.write(title, size=16, font="hebo", gap=20)
        sheet.write(*ENGLISH)
    items = read(sheet)
    assert headings(items) == ["Doors", "Keys", "Locks"]
    assert "GATEKEEPER" in records(items)[0].text


def test_numbers_of_pages_above_the_foot_are_left_out(read: Read) -> None:
    sheet = Sheet()
    for number in range(1, 7):
        if number > 1:
            sheet.turn()
        sheet.write(f"Rule {'ABCDEF'[number - 1]}", size=18, font="hebo")
        sheet.write(*ENGLISH)
        sheet.write(f"{number} keys are in the box, and nobody has more than {number} of them.")
        sheet.page.insert_text((520, 700), f"| {number + 10} |", fontsize=7)
    items = records(read(sheet))
    assert len(items) == 6
    for number, record in enumerate(items, 1):
        assert f"| {number + 10}" not in record.text
        assert f"{number} keys are in the box" in record.text


def test_numbers_that_begin_a_line_of_a_footnote_are_part_of_it(read: Read) -> None:
    sheet = Sheet()
    sheet.write("Doors", size=16, font="hebo")
    sheet.write(*ENGLISH * 3)
    sheet.write("13 The first note says that a door has hinges and a lock, as the rule on", size=8, gap=60)
    sheet.write("131A of the house and the one on keys do, in RFC", size=8, x=84)
    sheet.write("8422 [52]. Both are read every year, see", size=8, x=84)
    sheet.write("[45].", size=8, x=84)
    sheet.write("14 The second note is short.", size=8, gap=6)
    (record,) = records(read(sheet))
    assert record.text.split("\n\n")[-2:] == [
        "The first note says that a door has hinges and a lock, as the rule on 131A of the house and the one "
        "on keys do, in RFC 8422 [52]. Both are read every year, see [45].",
        "The second note is short.",
    ]


def test_a_chapters_large_number_is_apart_from_its_words(read: Read) -> None:
    sheet = Sheet()
    for number in (4, 5, 6):
        sheet.page.insert_text((72, sheet.y + 80), str(number), fontsize=50, fontname="hebo")
        sheet.write("Testing of Doors", size=21, x=110, gap=50)
        sheet.write(*ENGLISH)
    assert headings(read(sheet)) == [f"{number} Testing of Doors" for number in (4, 5, 6)]


def test_an_imprint_is_no_section(read: Read) -> None:
    sheet = Sheet()
    sheet.write("Doors", size=16, font="hebo")
    sheet.write(*ENGLISH)
    sheet.write("Under the Following Conditions", size=16, font="hebo", gap=20)
    sheet.write(
        "You must attribute the work in the manner specified by the author or licensor, and if", size=9
    )
    sheet.write(
        "you alter, transform, or build upon this work, you may share it under the same license.", size=9
    )
    sheet.write("Keys", size=16, font="hebo", gap=20)
    sheet.write(*ENGLISH)
    items = read(sheet)
    assert headings(items) == ["Doors", "Keys"]
    assert Drop("a license text", "page 1") in items


def test_elements_with_prose_in_them_are_one_listing(read: Read) -> None:
    lines = [
        '<Entry ID="7">',
        "<Description>The keeper of the house gives a key to anybody who asks for",
        "one, and he doesn't write down who has it. A guest may take a key along",
        "and come back at night.</Description>",
        "<Phase>Night</Phase>",
        "</Entry>",
    ]
    sheet = Sheet()
    for title in ("Doors", "Keys", "Locks"):
        sheet.write(title, size=16, font="hebo", gap=20)
        sheet.write(*ENGLISH)
        sheet.write(*lines, gap=12)
    for record in records(read(sheet)):
        assert record.text.endswith("```\n" + "\n".join(lines) + "\n```")
        assert record.text.count("```") == 2


def test_prose_about_an_element_is_no_listing(read: Read) -> None:
    sheet = Sheet()
    for title in ("Doors", "Keys", "Locks"):
        sheet.write(title, size=16, font="hebo", gap=20)
        sheet.write(*ENGLISH)
        sheet.write("The guest writes his name in a box of the page, outside of the", gap=12)
        sheet.write("<input> tag as below:")
        sheet.write('<input type="text" name="guest" size="40"', 'value="Ana" />', gap=12)
    for record in records(read(sheet)):
        assert "outside of the `<input>` tag as below:" in record.text
        assert record.text.endswith('```\n<input type="text" name="guest" size="40"\nvalue="Ana" />\n```')


def test_paragraphs_among_short_lines_stay_apart(read: Read) -> None:
    sheet = Sheet()
    for title in ("Doors", "Keys", "Locks"):
        sheet.turn()
        sheet.write(title, size=16, font="hebo", gap=20)
        sheet.write(*ENGLISH)
        for number in range(12):  # more lines at twice the distance than lines inside paragraphs
            sheet.write(f"Item number {'abcdefghijkl'[number]}", gap=11)
        sheet.write(*ENGLISH, gap=11)
    for record in records(read(sheet)):
        assert len(record.text.split("\n\n")) == 14


def test_headings_that_the_outline_leaves_out(read: Read) -> None:
    sheet = Sheet()
    for number in (1, 2, 3, 4):
        if number > 1:
            sheet.turn()
        sheet.write(f"{number} Chapter {number}", size=16, font="hebo")
        sheet.write(*ENGLISH)
        sheet.write("Keys of the House", font="hebo", gap=16)
        sheet.write(*ENGLISH, gap=6)
        sheet.write("Table 1: Keys", font="hebo", gap=16)
        sheet.write(*ENGLISH, gap=6)
    sheet.document.set_toc([[1, f"{n} Chapter {n}", n] for n in (1, 2, 4)])  # the third isn't in the outline
    sections = [record.facts.section[1:] for record in records(read(sheet))]
    assert [path for path in sections if len(path) == 1] == [[f"{n} Chapter {n}"] for n in (1, 2, 3, 4)]
    assert ["1 Chapter 1", "Keys of the House"] in sections
    assert not any("Table" in path[-1] for path in sections)
