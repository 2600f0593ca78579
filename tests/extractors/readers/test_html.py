from __future__ import annotations

import re
from pathlib import Path

import pytest
from growth import assert_grows_linearly
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser
from source_fixtures import MakeFile, MakeSource

from securetag.errors import SourceError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.readers.html import HtmlReader, make_page_stem
from securetag.extractors.text import prose
from securetag.extractors.text.html_markdown import extract_blocks, join_blocks
from securetag.extractors.text.html_page import decode_page, parse_page, swallows_text
from securetag.records import Record

PAGES = Path(__file__).parents[1] / "pages"
LONG = "A sentence that is long enough to be worth a Record of its own, and then some more of it."


def markdown(html: str) -> str:
    return join_blocks(extract_blocks(LexborHTMLParser(f"<body>{html}</body>").body))


@pytest.mark.parametrize("name", sorted(path.stem for path in PAGES.glob("*.html")))
def test_hard_pages(name: str) -> None:
    page = parse_page(decode_page((PAGES / f"{name}.html").read_bytes()))
    assert join_blocks(page.blocks).strip() == (PAGES / f"{name}.md").read_text(encoding="utf-8").strip()


def read(source: Source, *files: FetchedFile) -> list[Item]:
    return list(HtmlReader(source).read(files))


def test_sections_of_a_page(make_source: MakeSource, make_file: MakeFile) -> None:
    page = (PAGES / "docs.html").read_bytes()
    source = make_source(reader="html", url="https://e.org/guide/", options={"whole": 300})
    items = read(source, make_file("sessions.html", page, "https://e.org/guide/web/sessions.html"))
    records = [item for item in items if isinstance(item, Record)]
    assert [record.key for record in records] == [
        "web/sessions",
        "web/sessions#rotation",
        "web/sessions#comments",
    ]
    assert [record.title for record in records][1:] == [
        "Handling sessions: Rotation",
        "Handling sessions: Comments",
    ]
    assert records[1].locator == "Handling sessions > Rotation"
    assert records[1].url == "https://e.org/guide/web/sessions.html"
    assert {record.lang for record in records} == {"en"}


def test_a_page_that_says_it_is_not_there(make_source: MakeSource, make_file: MakeFile) -> None:
    page = "<title>Sorry</title><h1>404 - Not Found</h1><p>The page that you look for has moved on.</p>"
    (item,) = read(make_source(), make_file("x.html", page))
    assert isinstance(item, Drop)
    assert item.reason == "a page that says it isn't there"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        pytest.param(
            "<p>a &lt;b&gt; &amp;nbsp; `x` &amp;lt;</p>", "a <b> `&nbsp;` \\`x\\` `&lt;`", id="entities"
        ),
        pytest.param("<p># no heading</p><p>~~~</p>", "\\# no heading\n\n\\~~~", id="literal marks"),
        pytest.param(
            "<pre>a\n\n\n  b &lt;i&gt; &amp;amp;\n</pre>", "```\na\n\n\n  b <i> &amp;\n```", id="pre"
        ),
        pytest.param("<pre>x<br>y</pre>", "```\nx\ny\n```", id="line break in pre"),
        pytest.param("<pre>```\ninner\n```</pre>", "````\n```\ninner\n```\n````", id="fence in pre"),
        pytest.param(
            '<div class="language-sh highlighter-rouge"><div class="highlight"><pre>ls</pre></div></div>',
            "```sh\nls\n```",
            id="language of code",
        ),
        pytest.param("<p><code>a`b</code> and <code> c </code></p>", "``a`b`` and `c`", id="code spans"),
        pytest.param("<p>one<br>two</p>", "one\ntwo", id="line break"),
        pytest.param("<p><b> bold </b>x<i></i></p>", "**bold** x", id="bold"),
        pytest.param(
            "<a href='/x'><h2>In a link</h2><p>text</p></a>", "## In a link\n\ntext", id="block in a link"
        ),
        pytest.param(
            "<ol start=4><li>a<ul><li>b</ul><li><p>c</p><pre>d</pre></ol>",
            "4. a\n   - b\n5. c\n\n   ```\n   d\n   ```",
            id="nested lists",
        ),
        pytest.param(
            "<table><tr><th>a<th>b<tr><td>1|2<td colspan=2>3</table>",
            "| a | b |  |\n| --- | --- | --- |\n| 1\\|2 | 3 |  |",
            id="spanning cells",
        ),
        pytest.param("<p>x<sup>2</sup><sup><a href=#f>[3]</a></sup></p>", "x^2", id="footnote"),
        pytest.param("<img alt='A diagram'><p>t</p>", "A diagram\n\nt", id="alternative text"),
        pytest.param("text <div>block</div> tail", "text\n\nblock\n\ntail", id="text around a block"),
        pytest.param("<p>\ufffd ok</p>", "ok", id="replacement character"),
    ],
)
def test_markdown(html: str, expected: str) -> None:
    assert markdown(html) == expected


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=80))
def test_what_a_page_shows_survives_and_nothing_of_html_is_left(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    rendered = markdown(f"<p>{escaped}</p>")
    assert not prose.find_entities(
        "".join(piece for is_code, piece in prose.iter_segments(rendered) if not is_code)
    )
    words = [
        word
        for word in text.replace("`", " ").replace("\ufffd", " ").split()
        if word.isascii() and word.isalnum()
    ]
    assert all(word in rendered for word in words)


@given(
    st.lists(
        st.sampled_from(
            [
                "<p>",
                "</p>",
                "<div>",
                "</div>",
                "<table>",
                "<tr>",
                "<td>",
                "<li>",
                "<ul>",
                "</ul>",
                "<pre>",
                "</pre>",
                "<b>",
                "</b>",
                "<!--",
                "-->",
                "<script>",
                "</script>",
                "<a href=x>",
                "</a>",
                "<h2>",
                "word",
                " ",
                "&lt;",
                "&amp;lt;",
                "<nav>",
                "<main>",
                "</main>",
            ]
        ),
        max_size=60,
    )
)
def test_markup_of_any_soup_is_read_as_markup(parts: list[str]) -> None:
    soup = "".join(parts)
    text = join_blocks(parse_page(soup).blocks)
    assert text.count("word") <= soup.count("word")
    assert prose.find_residue(text) == []
    assert not re.search(r"</?(?:nav|script|main|pre|ul|li|b)>", text)


@pytest.mark.hostile
@pytest.mark.parametrize(
    "piece",
    [
        pytest.param("<p>word</p>", id="paragraphs"),
        pytest.param("<a href=x>word", id="open links"),
        pytest.param("<td>word", id="cells without a table"),
        pytest.param("<!-- word -->&lt;", id="comments and entities"),
    ],
)
def test_the_cost_of_a_soup_is_linear(piece: str) -> None:
    # None of the pieces nests: the cost of nesting is not linear, and MAX_DEPTH bounds it.
    assert_grows_linearly(parse_page, lambda n: (piece * 40 + "<p></p>") * (n // 40), 900)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("<meta charset=utf-8><p>Größe “x” 日本</p>".encode(), id="UTF-8"),
        pytest.param(
            "<meta charset=iso-8859-1><p>Größe “x” 日本</p>".encode(), id="UTF-8 declared as Latin-1"
        ),
        pytest.param("<p>Größe “x” 日本</p>".encode("utf-8-sig"), id="UTF-8 with BOM"),
        pytest.param("<p>Größe “x” 日本</p>".encode("utf-16"), id="UTF-16 with BOM"),
        pytest.param("<p>Größe “x” 日本</p>".encode("utf-16-le"), id="UTF-16 without BOM"),
    ],
)
def test_encodings_that_hold_everything(data: bytes) -> None:
    assert "Größe “x” 日本" in decode_page(data)


def test_encodings_that_a_page_declares() -> None:
    assert "“x” – é" in decode_page('<meta charset="iso-8859-1"><p>“x” – é</p>'.encode("cp1252"))
    assert "日本語の文書" in decode_page('<meta charset="shift_jis"><p>日本語の文書</p>'.encode("cp932"))
    assert "日本語" in decode_page('<meta charset="iso-2022-jp"><p>日本語</p>'.encode("iso-2022-jp"))
    assert "Привет" in decode_page(
        '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r"><p>Привет</p>'.encode("koi8-r")
    )
    assert decode_page(b"<meta charset=utf-7><p>+ADw-script+AD4-</p>").count("<") == 3
    assert decode_page(b"<meta charset=no-such><p>caf\xe9") in {
        "<meta charset=no-such><p>café",
        "<meta charset=no-such><p>cafй",
    }


def test_wild_pages_are_asked_of_a_second_parser() -> None:
    lost = f"<title>T</title><script src=a.js /><p>{LONG}</p><script>x</script><p>Tail.</p>"
    assert swallows_text(LexborHTMLParser(lost), lost)
    assert LONG in join_blocks(parse_page(lost).blocks)
    fine = f"<title>T</title><script>if (a < b) {{}}</script><!-- c --><p>{LONG}</p>"
    assert not swallows_text(LexborHTMLParser(fine), fine)


def test_a_layout_of_tables_is_no_table() -> None:
    page = f"<table><tr><td><a href=1>x</a></td><td><h1>T</h1><p>{LONG}</p></td></tr></table>"
    assert "|" not in join_blocks(parse_page(page).blocks)


HOSTILE = {
    "deep": "<div>" * 200_000 + "x",
    "deep and closed": "<i>" * 3_000 + "x" + "</i>" * 3_000,
    "tables in tables": "<table><tr><td>" * 30_000,
    "formatting": "<b><i>" * 900 + "<p>x</b></i>" * 5_000,
    "spans": '<table><tr><td rowspan="999999" colspan="999999">x</td></tr></table>' * 200,
    "names": "<div class='" + "main-" * 20_000 + "'>x</div>",
    "links": "<a href=x>y" * 100_000,
    "comments": "<!--" * 300_000,
    "angles": "<" * 2_000_000,
    "entities": "&amp;" * 500_000,
    "null": "<p>a\0b</p>" * 10_000,
}


@pytest.mark.hostile
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_end_soon(name: str, make_source: MakeSource, make_file: MakeFile) -> None:
    file = make_file("h.html", HOSTILE[name])
    items = read(make_source(), file)
    if name.startswith(("deep", "tables")):
        (failure,) = (item for item in items if isinstance(item, Failure))
        assert failure.reason.startswith("nested too deeply (")


def test_a_page_without_bounds_is_refused() -> None:
    with pytest.raises(SourceError, match="MiB"):
        parse_page("x" * (33 << 20))


@pytest.mark.parametrize(
    ("url", "root", "stem"),
    [
        pytest.param("https://e.org/a/b.html", "https://e.org/a/", "b", id="file"),
        pytest.param("https://e.org/a/", "https://e.org/a/", "a", id="folder"),
        pytest.param("https://e.org/a/b/index.html", "https://e.org/", "a/b", id="index"),
        pytest.param("https://e.org/p?id=3", "https://e.org/", "p?id=3", id="query"),
        pytest.param("file:///home/x/y.htm", "https://e.org/", "y", id="local file"),
        pytest.param("https://o.org/z/q.php", "https://e.org/", "z/q", id="another host"),
        pytest.param("https://e.org/", "https://e.org/", "index", id="root"),
    ],
)
def test_what_names_a_page(url: str, root: str, stem: str) -> None:
    assert make_page_stem(url, root) == stem
