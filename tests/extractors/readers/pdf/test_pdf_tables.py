from __future__ import annotations

from collections import Counter
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from securetag.extractors.readers.pdf.layout import find_running_lines, measure_body_size, order_lines
from securetag.extractors.readers.pdf.pages import Line, Page
from securetag.extractors.readers.pdf.tables import group_rows, join_tables, merge_columns, render_table

SIZE = 100


def text(x: int, y: int, words: str) -> Line:
    return Line(x, y, x + 50 * len(words), y + 120, SIZE, False, False, words)


def tables(lines: list[Line]) -> list[list[list[str]]]:
    rows = join_tables(group_rows(sorted(lines, key=lambda line: (line.y0, line.x0))))
    return [row[0].table for row in rows if row[0].table]


REQUIREMENTS = [
    text(700, 1000, "#"),
    text(1100, 1000, "Description"),
    text(4500, 1000, "L1"),
    text(4900, 1000, "CWE"),
    text(700, 1200, "1.1"),
    text(1100, 1200, "Verify that doors close when nobody looks at"),
    text(1100, 1340, "them, and that windows do."),
    text(4500, 1195, "✓"),
    text(4900, 1200, "521"),
    text(700, 1600, "1.2"),
    text(1100, 1600, "Verify that keys are counted every evening."),
    text(4900, 1600, "7"),
]


def test_a_table_without_rules_is_told_by_its_alignment() -> None:
    before = text(700, 600, "These are the requirements of this chapter.")
    after = text(
        700, 2000, "A paragraph that runs over all of the columns ends the table, of course it does."
    )
    assert tables([before, *REQUIREMENTS, after]) == [
        [
            ["#", "Description", "L1", "CWE"],
            ["1.1", "Verify that doors close when nobody looks at them, and that windows do.", "✓", "521"],
            ["1.2", "Verify that keys are counted every evening.", "", "7"],
        ]
    ]


def test_names_in_columns_are_no_table() -> None:
    names = ["Ada", "Grace", "Edsger", "Barbara", "Donald", "Frances", "Alan", "Radia", "Ken"]
    lines = [text(700 + 1500 * (i % 3), 1000 + 200 * (i // 3), name) for i, name in enumerate(names)]
    assert tables(lines) == []


def test_a_table_that_goes_on_repeats_its_header() -> None:
    rows = [["Field", "Value"], ["Version", "a|b"]]
    assert render_table(rows) == "| Field | Value |\n| --- | --- |\n| Version | a\\|b |"
    assert render_table(rows[1:], rows[0]) == render_table(rows)
    assert render_table(rows, rows[0]) == render_table(rows)


def test_columns_that_complete_each_other() -> None:
    rows = [["", "Field", "", "Value"], ["Version", "", "", "2"], ["Serial", "", "", "7"]]
    assert merge_columns(rows) == [["Field", "Value"], ["Version", "2"], ["Serial", "7"]]


LINES = st.lists(
    st.builds(
        lambda x, y, w, words: Line(x, y, x + w, y + 100, SIZE, False, False, words),
        st.integers(-500, 6500),
        st.integers(-500, 8500),
        st.integers(0, 6000),
        st.text("abc 1.-", min_size=1, max_size=30),
    ),
    max_size=60,
)


@given(LINES)
def test_reading_order_loses_and_doubles_no_line(lines: list[Line]) -> None:
    page = Page(6120, 7920, lines)
    ordered = order_lines(page, set(), SIZE)
    inside = [line for line in lines if 792 < (line.y0 + line.y1) / 2 < 7128]
    assert {id(line) for line in inside} <= {id(line) for line in ordered}
    assert len({id(line) for line in ordered}) == len(ordered)
    rows = group_rows(ordered)
    words = (line.text.split() for row in rows for line in row)  # those that cover others are split
    assert Counter(chain.from_iterable(words)) == Counter(
        chain.from_iterable(line.text.split() for line in ordered)
    )


def test_signs_of_a_formula_keep_their_places() -> None:
    def sign(x: int, y: int, width: int, text: str, size: int = 120) -> Line:
        return Line(x, y - size * 9 // 10, x + width, y + size // 5, size, False, False, text)

    # Let n = [ len ( X ) 128 ], where the parentheses are drawn as one text and `len X` as another, and
    # Y with a raised star and a lowered n; a formula writes its signs in any order.
    fraction = [
        *(sign(720, 700, 400, "2. Let"), sign(1848, 700, 184, "( )", 137), sign(1659, 720, 45, "[", 130)),
        *(sign(2245, 720, 45, "]", 130), sign(2065, 700, 180, "128"), sign(1698, 700, 269, "len X")),
        sign(1467, 700, 157, "n ="),
    ]
    powers = [
        *(sign(1542, 985, 34, "*", 69), sign(1080, 1000, 340, "7. Let"), sign(1615, 1000, 65, "=", 118)),
        *(sign(1718, 1000, 72, "X", 118), sign(1460, 1000, 65, "Y", 118), sign(1520, 1020, 34, "n", 69)),
    ]
    ordered = order_lines(Page(6120, 7920, [*powers, *fraction]), set(), 120)
    rows = group_rows(ordered)
    texts = [" ".join(line.text for line in row) for row in rows]
    assert texts == ["2. Let n = [ len ( X ) 128 ]", "7. Let Y n * = X"]


def test_comments_beside_the_text_come_after_it() -> None:
    text = [
        Line(500, 1000 + 130 * n, 4000, 1100 + 130 * n, 100, False, False, f"Line {n}.") for n in range(8)
    ]
    comment = Line(4300, 1260, 5800, 1330, 70, False, False, "Comment")
    ordered = order_lines(Page(6120, 7920, [*text[:3], comment, *text[3:]]), set(), 100)
    assert ordered == [*text, comment]


@given(LINES)
def test_tables_lose_no_word(lines: list[Line]) -> None:
    rows = group_rows(sorted(lines, key=lambda line: (line.y0, line.x0)))
    letters = sorted("".join(line.text for line in lines).replace(" ", "").replace("-", ""))
    kept = "".join(
        "".join("".join(cells) for cells in line.table) if line.table else line.text
        for row in join_tables(rows)
        for line in row
    )
    assert sorted(kept.replace(" ", "").replace("-", "")) == letters


def test_heads_and_feet_are_what_stands_in_several_margins() -> None:
    pages = [
        Page(
            6120,
            7920,
            [
                text(700, 300, "RUNNING HEAD"),
                Line(700, 500, 3000, 800, 3 * SIZE, True, False, f"A{n} Title"),
                text(700, 3000, f"Body of page {n}, which is long enough."),
                text(3000, 7500, f"Page {n} of 9"),
            ],
        )
        for n in range(1, 6)
    ]
    body = measure_body_size(pages)
    running = find_running_lines(pages, body)
    assert [line.text for line in order_lines(pages[2], running, body)] == [
        "A3 Title",
        "Body of page 3, which is long enough.",
    ]
