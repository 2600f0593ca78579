"""XHTML of an XML tree and the same HTML become the same Markdown: there is one converter."""

from __future__ import annotations

import pytest

from securetag.errors import SourceError
from securetag.extractors.text.html_page import MAX_DEPTH, convert_fragment
from securetag.extractors.text.xhtml import to_markdown
from securetag.extractors.text.xml_doc import parse_xml

TABLE = "<table><tr><th>A</th><th>B</th></tr><tr><td>1<br/>2</td><td>x|y</td></tr></table>"


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        pytest.param("Read <b>twice: </b>once", "Read **twice:** once", id="space inside bold"),
        pytest.param("<p>a <i>b</i></p><p>c</p>", "a *b*\n\nc", id="paragraphs"),
        pytest.param("by: <ul><li>day</li><li>night</li></ul>", "by:\n\n- day\n- night", id="list"),
        pytest.param(TABLE, "| A | B |\n| --- | --- |\n| 1 2 | x\\|y |", id="table"),
        pytest.param(
            "<table><tr><td>a note</td><td>its text</td></tr></table>", "a note\n\nits text", id="layout"
        ),
        pytest.param("write &amp;lt; for it", "write `&lt;` for it", id="an entity that is shown"),
        pytest.param("say <q>yes</q>, 2<sup>8</sup>", 'say "yes", 2^8', id="quotation and power"),
    ],
)
def test_a_tree_and_a_page_are_converted_alike(markup: str, markdown: str) -> None:
    assert convert_fragment(f"<div>{markup}</div>") == markdown
    xml = f'<d xmlns:xhtml="http://www.w3.org/1999/xhtml">{markup}</d>'
    prefixed = xml.replace("</", "\0").replace("<", "<xhtml:").replace("\0", "</xhtml:")
    assert to_markdown(parse_xml(xml.encode())) == markdown
    assert to_markdown(parse_xml(prefixed.encode())) == markdown


@pytest.mark.hostile
@pytest.mark.parametrize("depth", [MAX_DEPTH // 2, 20 * MAX_DEPTH], ids=["recursion", "parsing"])
def test_a_fragment_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    with pytest.raises(SourceError, match="nested too deeply"):
        convert_fragment("<div>" * depth + "x")
