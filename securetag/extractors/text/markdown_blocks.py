"""Convert Markdown as publishers write it to front matter, headings and plain CommonMark blocks.

In addition to CommonMark (https://spec.commonmark.org/0.31.2/) these are read: YAML front matter,
Kramdown's attribute lists (`{: .class}`), Liquid tags (`{% raw %}`), MkDocs' admonitions and tabs (`!!!
note`, `=== "Java"`), and tables in HTML. Code is unchanged; code that is marked only by its indentation
gets a fence, so that later steps recognize it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from securetag.errors import SourceError
from securetag.extractors.text import prose
from securetag.extractors.text.html_page import convert_fragment
from securetag.extractors.text.yaml_doc import decode_yaml

_ATX_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})([^\n]*)$")
_LIST_ITEM = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)")
_LIST_OR_QUOTE = re.compile(r"\s*(?:[-*+>|]|\d+[.)])")
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
#: Matches a document with a block to rewrite: indented code after a blank line or heading, or an admonition.
_MAY_NEED_REWRITE = re.compile(
    r"(?:\A|\n[ \t]*\n|(?:\A|\n) {0,3}#[^\n]*\n)(?: {4}|\t)|^[ \t]*(?:!!!|\?\?\?\+?|===\+?) ", re.M
)


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Return (front matter, text without it). Malformed YAML gives its title only."""
    match = _FRONT_MATTER.match(text)
    if match is None:
        return {}, text
    body = text[match.end() :]
    try:
        return decode_yaml(match[1], dict[str, Any]), body
    except SourceError:
        title = re.search(r"^title:[ \t]*(.+?)[ \t]*$", match[1], re.M)
        return ({"title": title[1].strip("\"'")} if title else {}), body


def iter_headings(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield (level, text, line number) for every line: level 0 is text, 1 to 6 a heading."""
    fence, candidate = "", None  # `candidate`: a line that a setext underline may make a heading
    for number, line in enumerate(text.split("\n"), 1):
        start = line.lstrip(" \t>")[:3]
        match = _FENCE.match(line) if start in ("```", "~~~") else None
        if fence or match:
            if candidate is not None:
                yield 0, candidate, number - 1
                candidate = None
            fence = _next_fence(fence, match)
            yield 0, line, number
            continue
        if candidate is not None:
            underline = _SETEXT_UNDERLINE.match(line) if start[:1] in "=-" and start else None
            if underline:
                yield (1 if underline[1][0] == "=" else 2), heading(candidate), number - 1
                candidate = None
                continue
            yield 0, candidate, number - 1
            candidate = None
        if start[:1] == "#" and (atx := _ATX_HEADING.match(line)):
            yield len(atx[1]), heading(atx[2] or ""), number
        elif start and not line.startswith(("    ", "\t")) and not _LIST_OR_QUOTE.match(line):
            candidate = line
        else:
            yield 0, line, number
    if candidate is not None:
        yield 0, candidate, number


def _next_fence(fence: str, match: re.Match[str] | None) -> str:
    """Return the fence that is open after a line ("" = none), from the one before it and the line's match."""
    if not fence:
        return match[1] if match and not (match[1][0] == "`" and "`" in match[2]) else ""
    closes = match and match[1][0] == fence[0] and len(match[1]) >= len(fence) and not match[2].strip()
    return "" if closes else fence


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
    if _MAY_NEED_REWRITE.search(text):
        text = "\n".join(_lines(text.split("\n")))
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


def _lines(lines: list[str]) -> Iterator[str]:
    """Yield the lines with fences around indented code, and admonitions as a bold title and their text."""
    fence, blank, in_list, index = "", True, False, 0
    while index < len(lines):
        line = lines[index]
        index += 1
        match = _FENCE.match(line)
        if fence or match:
            in_list = in_list and (bool(fence) or line[:1].isspace())
            fence = _next_fence(fence, match)
            yield line
            blank = False
        elif not line.strip():
            yield line
            blank = True
        elif line.startswith(("    ", "\t")) and blank and not in_list:
            end = _end_of_indented(lines, index, 4)
            yield from _fenced([_dedent(code, 4) for code in lines[index - 1 : end]])
            index, blank = end, False
        elif (opener := _ADMONITION.match(line)) and (opener["kind"] or opener["title"]):
            indent = len(opener["indent"].expandtabs(4))
            end = _end_of_indented(lines, index, indent + 4)
            yield f"{opener['indent']}**{opener['title'] or opener['kind'].strip().capitalize()}**"
            if index < end and lines[index].strip():
                yield ""
            yield from _lines([_dedent(inner, 4) for inner in lines[index:end]])
            index = end
        else:
            title = line.lstrip()[0] == "#"
            goes_on = in_list and not title and (line[0].isspace() or not blank)
            in_list, blank = bool(_LIST_ITEM.match(line)) or goes_on, title
            yield line


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


def _fenced(code: list[str]) -> Iterator[str]:
    yield from prose.make_code_block("\n".join(code)).split("\n")
