"""Convert Markdown as publishers write it to front matter, headings and plain CommonMark blocks.

In addition to CommonMark (https://spec.commonmark.org/0.31.2/) these are read: YAML front matter,
Kramdown's attribute lists (`{: .class}`), Liquid tags (`{% raw %}`), MkDocs' admonitions and tabs (`!!!
note`, `=== "Java"`), and tables in HTML. Code is unchanged; code that is marked only by its indentation
gets a fence, so that later steps recognize it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from securetag.errors import SourceError
from securetag.extractors.text import prose
from securetag.extractors.text.html_page import convert_fragment
from securetag.extractors.text.markdown_scan import scan, scan_indented_code
from securetag.extractors.text.yaml_doc import decode_yaml
from securetag.records import JsonObject

#: A fence that is indented so far that CommonMark takes it for code; publishers mean it as a fence.
_FENCE = re.compile(r"[ \t>]*(?:`{3}|~{3})")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_ATTRIBUTES = re.compile(r"[ \t]*\{:[^{}\n]*\}")
_ANCHOR = re.compile(r"[ \t]*\{#[^{}\n]*\}")
_IMAGE = re.compile(r"!\[[^\[\]\n]*\](?:\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*[^()\n]*\)|\[[^\[\]\n]*\])")
_LIQUID = re.compile(r"\{%[^%\n]*%\}")
_ADMONITION = re.compile(
    r"(?P<indent>[ \t]*)(?:!!!|\?\?\?\+?|===\+?)[ \t]+(?P<kind>[\w -]*?)[ \t]*"
    r"(?:\"(?P<title>[^\"\n]*)\")?[ \t]*$"
)
#: Stands for a backtick in an HTML table, where it marks code, while the converter escapes those of a page.
_TICK = "\ue004"
_MAY_HAVE_ADMONITION = re.compile(r"^[ \t]*(?:!!!|\?\?\?\+?|===\+?) ", re.M)
#: Matches where indented code may begin: after a blank line or a heading.
_MAY_HAVE_INDENTED_CODE = re.compile(r"(?:\A|\n[ \t]*\n|(?:\A|\n) {0,3}#[^\n]*\n)(?: {4}|\t)")


def split_front_matter(text: str) -> tuple[JsonObject, str]:
    """Return (front matter, text without it). Malformed YAML gives its title only."""
    match = _FRONT_MATTER.match(text)
    if match is None:
        return {}, text
    body = text[match.end() :]
    try:
        return decode_yaml(match[1], JsonObject), body
    except SourceError:
        title = re.search(r"^title:[ \t]*(.+?)[ \t]*$", match[1], re.M)
        return ({"title": title[1].strip("\"'")} if title else {}), body


def iter_headings(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield (level, text, line number) for every line: level 0 is text, 1 to 6 a heading."""
    lines = text.split("\n")
    done = 0
    for block in scan(text):
        if block.level == 0 or lines[block.start].startswith(("    ", "\t")):
            continue
        yield from ((0, lines[number], number + 1) for number in range(done, block.start))
        yield block.level, heading(block.content), block.start + 1
        done = block.end
    yield from ((0, lines[number], number + 1) for number in range(done, len(lines)))


def heading(text: str) -> str:
    """Return the words of a heading, without attributes, anchors, images, escapes and a final full stop."""
    if "{" in text:
        text = _ANCHOR.sub("", remove_attributes(text))
    if "![" in text:
        text = _IMAGE.sub("", text)
    if "\\" in text:
        text = re.sub(r"\\([\\`*_{}\[\]()#+.!<>|~-])", r"\1", text)
    return text.strip().rstrip(":.").rstrip() or text.strip()


def remove_attributes(text: str) -> str:
    """Return the text without Kramdown's attribute lists."""
    return _ATTRIBUTES.sub("", text)


def to_plain_markdown(text: str) -> str:
    """Return the document in CommonMark, with dialects resolved, code in fences, and links inline.

    Sections of it can then be read independently.
    """
    if "<table" in text or "<TABLE" in text:
        text = prose.map_blocks(text, _tables)
    if "{%" in text:
        text = prose.map_prose(text, lambda piece: _LIQUID.sub("", piece))
    # Looking for a literal first spares the search, which tries every line, in most documents.
    if any(mark in text for mark in ("!!! ", "???", "===")) and _MAY_HAVE_ADMONITION.search(text):
        text = "\n".join(_resolve_admonitions(text.split("\n")))
    if _MAY_HAVE_INDENTED_CODE.search(text):
        text = _fence_indented_code(text)
    return prose.resolve_references(text)


def _tables(piece: str) -> str:
    """Convert HTML tables to Markdown tables. A table without an end stays text."""
    parts, done, lower = [], 0, piece.lower()
    while (start := lower.find("<table", done)) >= 0 and (end := lower.find("</table>", start)) >= 0:
        end += len("</table>")
        parts += [piece[done:start], "\n\n", _table(piece[start:end]), "\n\n"]
        done = end
    return "".join(parts) + piece[done:]


def _table(markup: str) -> str:
    try:
        return convert_fragment(markup.replace("`", _TICK)).replace(_TICK, "`")
    except SourceError:
        return markup


def _resolve_admonitions(lines: list[str]) -> Iterator[str]:
    """Yield the lines with admonitions and tabs as a bold title and their text."""
    code = {n for block in scan("\n".join(lines)) if not block.level for n in range(block.start, block.end)}
    index = 0
    while index < len(lines):
        line = lines[index]
        opener = None if index in code else _ADMONITION.match(line)
        index += 1
        if opener is None or not (opener["kind"] or opener["title"]):
            yield line
            continue
        end = _end_of_indented(lines, index, len(opener["indent"].expandtabs(4)) + 4)
        yield f"{opener['indent']}**{opener['title'] or opener['kind'].strip().capitalize()}**"
        if index < end and lines[index].strip():
            yield ""
        yield from _resolve_admonitions([_dedent(inner, 4) for inner in lines[index:end]])
        index = end


def _fence_indented_code(text: str) -> str:
    """Return the text with fences around code that only its indentation marks, outside lists."""
    lines, done, parts = text.split("\n"), 0, []
    for block in scan_indented_code(text):
        if not _FENCE.match(lines[block.start]):
            parts += [*lines[done : block.start], prose.make_code_block(block.content)]
            done = block.end
    return "\n".join([*parts, *lines[done:]])


def _end_of_indented(lines: list[str], index: int, indent: int) -> int:
    """Return the index after a run of lines that are indented so far, or blank between such."""
    end = index
    while index < len(lines):
        line = lines[index]
        if line.strip():
            if len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4)) < indent:
                break
            end = index + 1
        index += 1
    return end


def _dedent(line: str, columns: int) -> str:
    return line[1:] if line.startswith("\t") else line[min(columns, len(line) - len(line.lstrip(" "))) :]
