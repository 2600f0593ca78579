"""Convert XHTML fragments of an XML tree to Markdown, as CWE and CAPEC use them in descriptions.

Text of the result is literal: characters are taken as the XML parser resolved them.
"""

from __future__ import annotations

from securetag.extractors.text.xml_doc import Element, get_name

_BLOCK_TAGS = {"p", "div", "ul", "ol", "table", "center", "blockquote", "h1", "h2", "h3", "h4"}
_MARKS = {"b": "**", "strong": "**", "i": "*", "em": "*", "q": '"'}


def to_markdown(element: Element | None) -> str:
    """Return the content of an element that mixes text and XHTML blocks."""
    if element is None:
        return ""
    blocks: list[str] = []
    _append_blocks(element, blocks, [])
    return "\n\n".join(block for block in blocks if block.strip()).strip()


def _append_blocks(element: Element, blocks: list[str], line: list[str]) -> None:
    """Append the blocks of `element`; `line` collects the inline text of the block at hand."""

    def close() -> None:
        text = _collapse_whitespace("".join(line))
        line.clear()
        if text:
            blocks.append(text)

    line.append(element.text or "")
    for child in element:
        name = get_name(child)
        if name in {"ul", "ol"}:
            close()
            blocks.append(_render_list(child, ordered=name == "ol"))
        elif name == "table":
            close()
            blocks.append(_render_table(child))
        elif name in _BLOCK_TAGS:
            close()
            inner: list[str] = []
            _append_blocks(child, inner, [])
            if name[0] == "h" and name[1:].isdigit() and inner:
                inner[0] = f"{'#' * int(name[1])} {inner[0]}"
            blocks += inner
        else:
            line.append(_render_inline(child))
        line.append(child.tail or "")
    close()


def _render_inline(element: Element) -> str:
    name = get_name(element)
    if name == "br":
        return "\x00"
    if name == "img":
        return str(element.get("alt") or "")
    inner = (element.text or "") + "".join(_render_inline(child) + (child.tail or "") for child in element)
    mark = _MARKS.get(name, "") if inner.strip() else ""
    if name == "sup":
        return f"^{inner}"
    return f"{mark}{inner}{mark}"


def _collapse_whitespace(text: str) -> str:
    """Collapse white space; a `br` (represented by NUL, which XML can't contain) breaks the line."""
    return "\n".join(" ".join(part.split()) for part in text.split("\x00")).strip()


def _render_list(element: Element, *, ordered: bool) -> str:
    rows = []
    for number, child in enumerate((c for c in element if get_name(c) in {"li", "ul", "ol", "div"}), 1):
        blocks: list[str] = []
        if get_name(child) in {"ul", "ol"}:
            blocks.append(_render_list(child, ordered=get_name(child) == "ol"))
            rows.append("  " + blocks[0].replace("\n", "\n  "))
            continue
        _append_blocks(child, blocks, [])
        mark = f"{number}. " if ordered else "- "
        rows.append(mark + "\n".join(blocks).replace("\n", "\n" + " " * len(mark)))
    return "\n".join(rows)


def _render_table(element: Element) -> str:
    """Return a Markdown table; a table of one row is layout, and its cells become blocks."""
    table = [
        [to_markdown(cell) for cell in row if get_name(cell) in {"td", "th"}]
        for row in element.iter()
        if get_name(row) == "tr"
    ]
    table = [row for row in table if any(row)]
    if len(table) == 1:
        return "\n\n".join(cell for cell in table[0] if cell)
    rows = [[cell.replace("\n", " ").replace("|", "\\|") for cell in row] for row in table]
    if not rows:
        return ""
    width = max(len(row) for row in rows)
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join(["---"] * width) + " |")
    return "\n".join(lines)


def to_code(element: Element | None) -> str:
    """Return source code that is written as nested `div`s (one level of indentation each) and `br`s."""
    if element is None:
        return ""
    out: list[str] = []
    _append_code(element, out, 0)
    lines = "".join(out).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _append_code(element: Element, out: list[str], depth: int) -> None:
    def add(text: str | None) -> None:
        words = " ".join((text or "").split())
        if not words:
            if text and out and not out[-1].endswith("\n") and "\n" not in text:
                out.append(" ")
            return
        if out and out[-1][-1:] not in ("\n", "") and text and text[0].isspace() and not out[-1].isspace():
            out.append(" ")
        if not out or out[-1].endswith("\n"):
            words = "\t" * depth + words
        out.append(words + (" " if text and text[-1] == " " else ""))

    add(element.text)
    for child in element:
        name = get_name(child)
        if name == "br":
            out.append("\n")
        elif name in {"div", "p", "ul", "li"}:
            indent = 1 if "margin-left" in (child.get("style") or "") else 0
            if out and not out[-1].endswith("\n"):
                out.append("\n")
            _append_code(child, out, depth + indent)
            if out and not out[-1].endswith("\n"):
                out.append("\n")
        else:
            _append_code(child, out, depth)
        add(child.tail)
