"""Convert the main content of a page, a lexbor tree, to Markdown blocks.

Text of the result is literal: characters are taken as the HTML parser resolved them, so a `<b>` that
a page shows is content. Code keeps its lines, links become their text, tables become Markdown tables
unless they only lay out the page.

Why not a library: html-to-markdown (Rust) was as good in its Markdown and half as fast, and prose that
looks like tags has to survive `prose.residue`, which no converter knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from securetag.extractors.text import prose
from securetag.extractors.text.html_content import select_inside

Node = Any  # selectolax's LexborNode; its stubs say less than we ask

#: (level, Markdown): level 0 is a block of text, 1 to 6 a heading.
Block = tuple[int, str]

_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_MARKS = {"b": "**", "strong": "**", "i": "*", "em": "*", "s": "~~", "del": "~~", "strike": "~~"}
_CODE = {"code", "tt", "kbd", "samp"}
_PRE = {"pre", "xmp", "listing", "plaintext", "textarea"}
#: Elements that begin a block; any other one is inline.
_CONTAINERS = {
    "address", "article", "aside", "body", "center", "details", "dialog", "div", "fieldset", "figure",
    "footer", "form", "header", "hgroup", "html", "main", "nav", "p", "section", "figcaption", "legend",
}  # fmt: skip
_BLOCKS = {*_CONTAINERS, *_HEADINGS, *_PRE, "ul", "ol", "menu", "dl", "table", "blockquote", "summary", "hr"}
_NOTHING = {
    "script", "style", "template", "noscript", "iframe", "object", "svg", "canvas", "audio", "video", "map",
    "select", "button", "input", "head", "title", "nav", "rp", "rt", "colgroup", "wbr", "noframes",
    "datalist", "embed", "applet", "progress", "meter", "-comment",
}  # fmt: skip
#: Texts of links that generators put into a heading as an anchor to itself.
_SELF_LINK = {"¶", "#", "§", "🔗", "link", "permalink", "anchor", "[edit]", "edit", "[link]"}
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language|lang|highlight|highlight-source|brush:?|sourceCode)[-\s:]+([\w+#.]+)"
)
#: Words in class names that aren't programming languages, and natural languages.
_NO_LANGUAGE = {
    "default", "none", "text", "notranslate", "plaintext", "plain", "highlight", "wrapper", "txt",
    "en", "es", "de", "fr", "it", "pt", "ja", "zh", "ru", "ko",
}  # fmt: skip
_LINE_NUMBERS = re.compile(
    r"\b(?:linenos?|line-?numbers?(?:-rows)?|lineno|linenodiv|gutter|blob-num|rouge-gutter|hljs-ln-numbers)\b"
)
_NUMBERED = ",".join(f"pre [class*={word}]" for word in ("line", "gutter", "blob-num", "hljs-ln"))
_FOOTNOTE = re.compile(r"\[?(?:\d{1,3}|[a-z]|note \d+|citation needed|↩︎?|\^)\]?$")
_LINE_END = re.compile(r"\n(?=[^\n])")
#: Maximum cells of one row, and maximum rows or columns that one cell spans.
_WIDEST, _SPAN = 64, 200


def extract_blocks(node: Node) -> list[Block]:
    """Return the blocks of an element's content in reading order. Changes the tree."""
    # Once for the page: lexbor parses a selector anew each time, which costs more than the search.
    for child in select_inside(node, _NUMBERED):
        if _LINE_NUMBERS.search(child.attributes.get("class") or ""):
            child.decompose()
    for child in select_inside(node, "pre br,pre button"):
        if child.tag == "br":
            child.replace_with("\n")
        else:
            child.decompose()
    for link in select_inside(node, ",".join(f"{name} a" for name in _HEADINGS)):
        if (link.text(deep=True) or "").strip().lower() in _SELF_LINK:
            link.decompose()
    return _collect_blocks(node)


def _collect_blocks(node: Node) -> list[Block]:
    blocks: list[Block] = []
    _walk(node, blocks)
    return blocks


def join_blocks(blocks: list[Block]) -> str:
    """Return blocks as one Markdown text, headings with their marks."""
    return "\n\n".join(f"{'#' * level} {text}" if level else text for level, text in blocks)


def _walk(node: Node, blocks: list[Block]) -> None:
    line: list[str] = []
    child = node.child
    while child is not None:
        name = child.tag
        if name == "-text":
            text = child.text_content
            if line or not text.isspace():
                line.append(literal(text))
        elif name in _BLOCKS:
            if line:
                _flush(line, blocks)
            _block(child, name, blocks)
        elif name not in _NOTHING:
            if _holds_blocks(child):
                _flush(line, blocks)
                _walk(child, blocks)
            else:
                _inline(child, name, line)
        child = child.next
    if line:
        _flush(line, blocks)


def _flush(line: list[str], blocks: list[Block]) -> None:
    text = _flow("".join(line))
    line.clear()
    if text:
        blocks.append((0, _safe_start(text)))


def _block(node: Node, name: str, blocks: list[Block]) -> None:
    if name in _HEADINGS:
        if title := _heading(node):
            blocks.append((_HEADINGS[name], title))
    elif name in _PRE:
        if text := _pre(node):
            blocks.append((0, text))
    elif name in {"ul", "ol", "menu"}:
        if text := _list(node, ordered=name == "ol"):
            blocks.append((0, text))
    elif name == "dl":
        if text := _definitions(node):
            blocks.append((0, text))
    elif name == "table":
        blocks.extend(_table(node))
    elif name == "blockquote":
        if text := join_blocks(_collect_blocks(node)):
            blocks.append((0, "> " + text.replace("\n", "\n> ").replace("> \n", ">\n")))
    elif name == "summary":
        if text := _flow(_line(node)):
            blocks.append((0, f"**{text}**"))
    elif name != "hr":
        _walk(node, blocks)


def _holds_blocks(node: Node) -> bool:
    """Whether an inline element (`<a>`, `<span>`, a custom one) contains block elements."""
    child = node.child
    while child is not None:
        name = child.tag
        if name in _BLOCKS or (name[0] != "-" and name not in _NOTHING and _holds_blocks(child)):
            return True
        child = child.next
    return False


def _line(node: Node) -> str:
    """Return all text of an element on one line, including its blocks."""
    pieces: list[str] = []
    _children(node, pieces)
    return "".join(pieces)


def _children(node: Node, line: list[str]) -> None:
    child = node.child
    while child is not None:
        name = child.tag
        if name == "-text":
            line.append(literal(child.text_content))
        elif name in _BLOCKS:
            line.append(" ")
            _children(child, line)
            line.append(" ")
        elif name not in _NOTHING:
            _inline(child, name, line)
        child = child.next


def _inline(node: Node, name: str, line: list[str]) -> None:
    if name in _CODE:
        line.append(prose.make_code_span(node.text(deep=True)))
    elif name in _MARKS:
        inner = _line(node)
        core = inner.strip()
        if not core:
            line.append(inner)
            return
        mark, lead = _MARKS[name], inner[: len(inner) - len(inner.lstrip())]
        line.append(f"{lead}{mark}{core}{mark}{inner[len(inner.rstrip()) :]}")
    elif name == "br":
        line.append("\x00")
    elif name == "img":
        line.append(literal(node.attributes.get("alt") or ""))
    elif name == "sup":
        inner = _line(node).strip()
        if not _FOOTNOTE.match(inner) or node.css_first("a") is None:
            line.append(f"^{inner}" if inner else "")
    elif name == "math":
        line.append(literal(node.attributes.get("alttext") or node.text(deep=True, separator=" ")))
    elif name == "q":
        line.append(f'"{_line(node).strip()}"')
    else:
        _children(node, line)


def literal(text: str | None) -> str:
    """Return text in which Markdown sees no markup: backticks and visible entities are escaped."""
    if not text:
        return ""
    if "`" in text:
        text = text.replace("`", "\\`")
    if "\ufffd" in text:
        text = text.replace("\ufffd", "")
    if "&" in text:
        for entity in dict.fromkeys(prose.find_entities(text)):
            text = text.replace(entity, f"`{entity}`")
    return text


def _flow(text: str) -> str:
    """Collapse white space; a `br` (kept as NUL, which a parsed page can't contain) breaks the line."""
    if "\x00" not in text:
        return " ".join(text.split())
    return "\n".join(" ".join(part.split()) for part in text.split("\x00")).strip()


def _safe_start(text: str) -> str:
    """Return a paragraph that Markdown doesn't take for a heading or a fence."""
    if text[0] in "#~" and re.match(r"#{1,6}(?:\s|$)|~~~", text):
        return "\\" + text
    return text


def _heading(node: Node) -> str:
    text = _flow(_line(node)).replace("\n", " ")
    return text if any(char.isalnum() for char in text) else ""


def _pre(node: Node, language: str = "") -> str:
    """Return a fenced block with unchanged lines, without the line numbers of the page."""
    code = (node.text(deep=True) or "").replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    code = code.strip("\n").rstrip()
    return prose.make_code_block(code, _language(node) or language) if code.strip() else ""


def _language(node: Node) -> str:
    """Return the language that a highlighter wrote into a class of the block, its code or its parents."""
    inner = node.css_first("code")
    around = [inner, node, node.parent, node.parent.parent if node.parent else None]
    for element in around:
        if element is None or not element.is_element_node:
            continue
        attributes = element.attributes
        named = attributes.get("data-lang") or attributes.get("data-language")
        match = _LANGUAGE.search(attributes.get("class") or "")
        language = (named or (match[1] if match else "")).lower()
        if language and language not in _NO_LANGUAGE and re.fullmatch(r"[\w+#.-]{1,20}", language):
            return language
    return ""


def _list(node: Node, *, ordered: bool) -> str:
    rows: list[str] = []
    start = node.attributes.get("start") if ordered else None
    number = int(start) if start and re.fullmatch(r"\d{1,6}", start) else 1
    child = node.child
    while child is not None:
        name = child.tag
        if name in {"ul", "ol", "menu"}:  # a list inside a list without an item of its own
            if inner := _list(child, ordered=name == "ol"):
                rows.append("  " + _indented(inner, 2))
        elif name[0] != "-" and name not in _NOTHING:
            mark = f"{number}. " if ordered else "- "
            if text := _item(child):
                rows.append(mark + _indented(text, len(mark)))
                number += 1
        child = child.next
    return "\n".join(rows)


def _indented(text: str, by: int) -> str:
    """Indent all lines but the first; empty lines stay empty."""
    return _LINE_END.sub("\n" + " " * by, text)


def _item(node: Node) -> str:
    """Return the blocks of a list item; short ones without blank lines, code with them."""
    parts = _collect_blocks(node)
    out = ""
    for level, text in parts:
        shown = f"**{text}**" if level else text
        if out:
            out += "\n\n" if "\n\n" in shown or shown.startswith(("```", "|")) else "\n"
        out += shown
    return out


def _definitions(node: Node) -> str:
    rows: list[str] = []
    for child in node.css("dt, dd"):
        if _nearest(child, {"dl"}) != node.mem_id:
            continue
        if child.tag == "dt":
            if text := _flow(_line(child)).replace("\n", " "):
                rows.append(f"- **{text}**")
        elif text := _item(child):
            rows.append("  " + _indented(text, 2) if rows else text)
    return "\n".join(rows)


def _nearest(node: Node, names: set[str]) -> int | None:
    parent = node.parent
    while parent is not None and parent.tag not in names:
        parent = parent.parent
    return parent.mem_id if parent is not None else None


def _rows(table: Node) -> Iterator[list[Node]]:
    """Return the cells of each row of this table, without those of a table inside it."""
    for group in table.iter():
        rows = (
            [group] if group.tag == "tr" else group.iter() if group.tag in {"thead", "tbody", "tfoot"} else ()
        )
        for row in rows:
            if row.tag == "tr":
                yield [cell for cell in row.iter() if cell.tag in {"td", "th"}]


def _table(table: Node) -> list[Block]:
    inside = select_inside(table, "caption,pre,th,table,h1,h2,h3,form,[rowspan],[colspan]")
    tags = {node.tag for node in inside}
    captions = (_flow(_line(node)) for node in inside if node.tag == "caption")
    blocks: list[Block] = [(0, f"**{text}**") for text in captions if text]
    if "pre" in tags and "th" not in tags:
        for pre in reversed(inside):  # a listing with its line numbers in a column beside it
            if pre.tag == "pre":
                around = " ".join((element.attributes.get("class") or "") for element in (pre, pre.parent))
                if not _LINE_NUMBERS.search(around) and (text := _pre(pre, _language(table))):
                    blocks.append((0, text))
        return blocks
    rows = list(_rows(table))
    if _lays_out(table, rows, tags):
        for row in rows:
            for cell in row:
                _walk(cell, blocks)
        return blocks
    spans = any(
        node.tag in {"td", "th"} and ("rowspan" in node.attributes or "colspan" in node.attributes)
        for node in inside
    )
    if text := _grid(rows, spans=spans):
        blocks.append((0, text))
    return blocks


def _lays_out(table: Node, rows: list[list[Node]], inside: set[str]) -> bool:
    """Whether a table arranges parts of the page instead of holding data."""
    if table.attributes.get("role") in {"presentation", "none"}:
        return True
    if len(rows) < 2 or max(map(len, rows)) < 2:
        return True
    if inside & {"table", "h1", "h2", "h3", "form"}:
        return True
    # A cell as long as a page is a column of the page.
    return "th" not in inside and any(len(c.text(deep=True) or "") > 1_500 for r in rows for c in r)


def _span(cell: Node, name: str) -> int:
    value = cell.attributes.get(name) or "1"
    return min(max(int(value), 1), _SPAN) if re.fullmatch(r"\d{1,6}", value) else 1


def _grid(rows: list[list[Node]], *, spans: bool) -> str:
    """Return a Markdown table; a cell that spans rows is repeated in each, so that every row is complete."""
    lines: list[list[str]] = []
    carried: dict[int, tuple[int, str]] = {}
    for row in rows:
        if not spans:
            lines.append([_cell(cell) for cell in row[:_WIDEST]])
            continue
        line: list[str] = []
        cells = iter(row)
        while len(line) < _WIDEST:
            if (spanning := carried.get(len(line))) is not None:
                column = len(line)
                remaining_rows, cell_text = spanning
                line.append(cell_text)
                if remaining_rows > 1:
                    carried[column] = (remaining_rows - 1, cell_text)
                else:
                    del carried[column]
                continue
            cell = next(cells, None)
            if cell is None:
                break
            text = _cell(cell)
            if (down := _span(cell, "rowspan")) > 1:
                carried[len(line)] = (down - 1, text)
            line += [text, *[""] * (_span(cell, "colspan") - 1)]
        lines.append(line[:_WIDEST])
    lines = [line for line in lines if any(line)]
    if not lines:
        return ""
    width = max(map(len, lines))
    shown = ["| " + " | ".join(line + [""] * (width - len(line))) + " |" for line in lines]
    return "\n".join([shown[0], "| " + " | ".join(["---"] * width) + " |", *shown[1:]])


def _cell(cell: Node) -> str:
    only = cell.child
    plain = only is not None and only.next is None and only.tag == "-text"
    text = _flow(literal(only.text_content) if plain else _line(cell)).replace("\n", " ")
    return text.replace("|", "\\|") if "|" in text else text
