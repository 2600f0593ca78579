"""Convert upstream prose to clean Markdown, with code unchanged.

What comes out holds, outside code, no `(Citation:`, no `{{ insert:`, no `xhtml:`, no character
entity and no U+FFFD: `residue` names what would break that promise, and `clean` ends only when
nothing does. Tags that aren't formatting (`<script>`, `<username>`) are content here and survive. Formatting
tags are replaced in place: the converter of HTML would join the lines of paragraphs and lists.

This module knows no source and no file.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from io import StringIO

from securetag.extractors.text.markdown_scan import scan
from securetag.records import normalise_text

_TICKS = re.compile(r"`+")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
#: A candidate for a character entity of HTML; an unknown name such as `&foo;` is text.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_CITATION = re.compile(r"[ \t]*\(Citation:(?:[^()\n]|\([^()\n]*\))*\)")
_INSERT = re.compile(r"\{\{\s*insert:[^{}\n]*\}\}")
#: Control characters, and the two private characters around a placeholder of a code span.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u2029\ue000\ue001]")
_PLACEHOLDER = re.compile("\ue000(\\d+)\ue001")
_CODE_TAG = re.compile(r"<(?P<name>pre|code|tt|kbd|samp)(?:\s[^<>]*)?>", re.I)
_CODE_ENDS = {name: re.compile(rf"</{name}\s*>", re.I) for name in ("pre", "code", "tt", "kbd", "samp")}
_TAG = re.compile(
    r"<(?P<close>/?)(?:xhtml:)?(?P<name>p|br|hr|div|span|ul|ol|li|b|strong|i|em|u|sup|sub|h[1-6]|center|font"
    r"|blockquote|small|figure|figcaption|details|summary|tbody|thead|a|img)"
    r"(?P<attributes>(?:\s+[a-zA-Z:-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>]+))?)*)\s*/?>",
    re.I,
)
_LINK = re.compile(
    r"(?P<image>!?)\[(?P<text>(?:[^\[\]\n]|\n(?!\s*\n)|\[[^\[\]\n]*\])*)\]"
    r"\(\s*<?(?P<target>[^()\s<>]*(?:\([^()\s]*\)[^()\s<>]*)*)>?"
    r"(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'))?\s*\)"
)
#: `[text][label]`, `[label][]` and `[label]`, which are links only where the label is defined.
_REFERENCE = re.compile(r"\[(?P<text>(?:[^\[\]\n]|\n(?!\s*\n))+)\](?:\[(?P<label>[^\[\]\n]*)\]|(?![\[(:]))")
#: A label that begins with `^` is a footnote's, whose text stays.
_LINK_DEFINITION = re.compile(
    r"^ {0,3}\[(?P<label>(?!\^)[^\[\]\n]+)\]:[ \t]*\n?[ \t]*<?(?P<target>[^\s<>]+)>?.*\n?", re.M
)
_ANY_DEFINITION = re.compile(r"^ {0,3}\[(?!\^)[^\]\n]+\]:\s*\S+.*$", re.M)
_AUTOLINK = re.compile(r"<((?:https?|mailto):[^\s<>]+)>")
_TRAILING_SPACES = re.compile(r"[ \t]+(?=\n)")
_EMPTY_LINES = re.compile(r"\n{3,}")
#: Matches any text in which `find_residue` may find something; and a line that needs no cleaning.
_MAY_HAVE_RESIDUE = re.compile(r"\(Citation:|\{\{ insert:|xhtml:|\ufffd|&[#A-Za-z]")
_PLAIN_LINE = re.compile(r"[\w \t\n.,;:!?'\"()/+#%=@*^|$–—’-]*")
_FORBIDDEN = (("(Citation:", "(source:"), ("{{ insert:", "[parameter:"), ("xhtml:", "html "), ("\ufffd", ""))
#: The opening line of fenced code.
_FENCED_BLOCK = re.compile(r"[ >]*(?:`{3,}|~{3,})\s*(?P<language>[\w+#.-]*)")
_MARKDOWN = {"markdown", "md", "mdx", "text", "txt", "gherkin"}
#: Emphasis around a comment or a whole line: `*// comment*`, `// comment*`, `/* comment */*`, `**x = 1;**`.
_STRAY_ASTERISK = re.compile(
    r"^\s*\*{1,2}(?://|/\*|#|--)\s*\w|^\s*(?://|#)[^*]*[^*/\s]\*{1,2}\s*$|/\*.*\*/\*+\s*$|[;)}]\*\*\s*$|^\s*\*\*\S.*\*\*\s*$"
)


def iter_segments(text: str) -> Iterator[tuple[bool, str]]:
    """Yield (is code, piece) in order; the pieces join to `text`. Fences and code spans are code."""
    for is_code, piece in _iter_blocks(text):
        if is_code:
            yield True, piece
        else:
            yield from _iter_spans(piece)


def _iter_blocks(text: str) -> Iterator[tuple[bool, str]]:
    """Yield (is code, piece) for fenced code and the text between it. An open fence runs to the end."""
    if "```" not in text and "~~~" not in text:
        if text:
            yield False, text
        return
    lines = list(StringIO(text, newline="\n"))
    done = 0
    for block in scan(text):
        if block.level:
            continue
        if block.start > done:
            yield False, "".join(lines[done : block.start])
        yield True, "".join(lines[block.start : block.end])
        done = block.end
    if done < len(lines):
        yield False, "".join(lines[done:])


def _iter_spans(text: str) -> Iterator[tuple[bool, str]]:
    """Yield (is code, piece) for code spans: equal runs of backticks with no blank line between them."""
    runs = [(match.start(), match.end()) for match in _TICKS.finditer(text)]
    if not runs:
        if text:
            yield False, text
        return
    breaks = [match.start() for match in _BLANK_LINE.finditer(text)]
    closers: dict[int, list[int]] = {}
    for index, (start, end) in enumerate(runs):
        closers.setdefault(end - start, []).append(index)
    done = index = 0
    while index < len(runs):
        start, end = runs[index]
        same = closers[end - start]
        following = bisect_right(same, index)
        closer = same[following] if following < len(same) else None
        if text[max(0, start - 1)] == "\\" and text[max(0, start - 2)] != "\\":
            closer = None  # escaped, so no opener; a closer may well follow a backslash
        if closer is None or bisect_right(breaks, start) != bisect_right(breaks, runs[closer][0]):
            index += 1
            continue
        if start > done:
            yield False, text[done:start]
        done = runs[closer][1]
        yield True, text[start:done]
        index = closer + 1
    if done < len(text):
        yield False, text[done:]


def map_prose(text: str, change: Callable[[str], str]) -> str:
    """Apply `change` to everything outside code."""
    return "".join(piece if is_code else change(piece) for is_code, piece in iter_segments(text))


def map_blocks(text: str, change: Callable[[str], str]) -> str:
    """Apply `change` to everything outside fenced code, including code spans."""
    return "".join(piece if is_code else change(piece) for is_code, piece in _iter_blocks(text))


def find_entities(text: str) -> list[str]:
    """Return the character entities of HTML in a piece of prose."""
    if "&" not in text:
        return []
    return [entity for entity in _ENTITY.findall(text) if html.unescape(entity) != entity]


def find_code_residue(text: str) -> list[str]:
    """Return the lines of code blocks that a conversion left marks in: a fence, or asterisks of emphasis.

    Blocks of Markdown may hold both and are skipped; a docstring may hold fences.
    """
    residue: list[str] = []
    if "```" not in text:
        return residue
    for is_code, piece in iter_segments(text):
        if not is_code or not (opening := _FENCED_BLOCK.match(piece)) or opening["language"] in _MARKDOWN:
            continue
        lines = piece.rstrip().split("\n")[1:-1]
        has_docstring = '"""' in piece
        residue += [
            line
            for line in lines
            if (line.strip() == "```" and not has_docstring) or _STRAY_ASTERISK.search(line)
        ]
    return residue


def find_residue(text: str) -> list[str]:
    """Return the markup outside code that a Record's text may not contain; empty for a clean text."""
    residue: list[str] = []
    if not _MAY_HAVE_RESIDUE.search(text):
        return residue
    for is_code, piece in iter_segments(text):
        if not is_code:
            residue += [mark for mark, _ in _FORBIDDEN if mark in piece]
            residue += find_entities(piece)
    return residue


def make_code_span(code: str) -> str:
    """Return a Markdown code span around any text, on one line."""
    code = " ".join(code.split())
    if not code:
        return ""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    ticks = "`" * (longest + 1) if longest != 1 else "``"
    pad = " " if code[0] == "`" or code[-1] == "`" else ""
    return f"{ticks}{pad}{code}{pad}{ticks}"


def make_code_block(code: str, language: str = "") -> str:
    """Return a fenced block around any code, with unchanged lines."""
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    ticks = "`" * (longest + 1)
    return f"{ticks}{language}\n{code.strip(chr(10))}\n{ticks}"


def _render_tag(match: re.Match[str]) -> str:
    name, closing, attributes = match["name"].lower(), bool(match["close"]), match["attributes"]
    if re.search(r"\son\w+\s*=|javascript:", attributes, re.I):
        return match[0]  # a payload, which is what the text is about
    if name in {"br", "hr"}:
        return "\n"
    if name == "li":
        return "" if closing else "\n- "
    if name in {"p", "div", "ul", "ol", "center", "blockquote", "figure", "details", "summary"}:
        return "\n\n"
    if name[0] == "h" and name[1:].isdigit():
        return "\n\n" if closing else f"\n\n{'#' * int(name[1])} "
    if name in {"b", "strong"}:
        return "**"
    if name in {"i", "em"}:
        return "*"
    if name == "a":
        return "" if closing or "href" in attributes.lower() or "name" in attributes.lower() else match[0]
    if name == "img":
        alt = re.search(r"\salt\s*=\s*(\"[^\"]*\"|'[^']*')", attributes, re.I)
        return alt[1][1:-1] if alt else match[0]
    return ""


def _render_link(match: re.Match[str]) -> str:
    text: str = match["text"].strip()
    return text or ("" if match["image"] else match["target"])


def resolve_references(text: str) -> str:
    """Convert reference links of a document to inline links and remove their definitions.

    A definition whose target is `#` is a comment, and stays. https://spec.commonmark.org/0.31.2/#reference-link
    """
    if "]:" not in text:
        return text
    targets: dict[str, str] = {}

    def define(match: re.Match[str]) -> str:
        if match["target"] == "#":
            return match[0]
        targets.setdefault(_normalize_label(match["label"]), match["target"])
        return ""

    def inline(match: re.Match[str]) -> str:
        target = targets.get(_normalize_label(match["label"] or match["text"]))
        return f"[{match['text']}]({target})" if target else match[0]

    text = map_blocks(text, lambda piece: _LINK_DEFINITION.sub(define, piece))
    return map_blocks(
        text, lambda piece: _apply_around_spans(piece, lambda sentence: _REFERENCE.sub(inline, sentence))
    )


def _normalize_label(text: str) -> str:
    return " ".join(text.split()).casefold()


def convert_links_to_text(prose: str) -> str:
    """Replace links, images and autolinks by their text, and remove definitions of links."""
    if "](" in prose:
        prose = _LINK.sub(_render_link, prose)
    if "](" in prose:
        prose = _LINK.sub(_render_link, prose)  # an image inside a link
    if "]:" in prose:
        prose = _ANY_DEFINITION.sub("", prose)
    return _AUTOLINK.sub(lambda match: match[1], prose) if "<" in prose else prose


def _unescape(prose: str) -> str:
    """Resolve entities; a backtick stays escaped, and a doubly escaped entity becomes code."""
    once = _ENTITY.sub(lambda match: html.unescape(match[0]).replace("`", "\\`"), prose)
    if not find_entities(once):
        return once
    used = {len(run) for run in re.findall(r"`+", once)}
    ticks = "`" * next(n for n in range(1, len(used) + 2) if n not in used)
    wrap = _ENTITY.sub(lambda m: f" {ticks}{m[0]}{ticks} " if find_entities(m[0]) else m[0], once)
    return wrap


def _apply_around_spans(text: str, change: Callable[[str], str]) -> str:
    """Apply `change` to text whose code spans are replaced by placeholders.

    The text of a link may be a code span.
    """
    if "`" not in text:
        return change(text)
    spans: list[str] = []

    def replace_span(is_code: bool, piece: str) -> str:
        if not is_code:
            return piece
        spans.append(piece)
        return f"\ue000{len(spans) - 1}\ue001"

    marked = change("".join(replace_span(is_code, piece) for is_code, piece in _iter_spans(text)))
    return _PLACEHOLDER.sub(lambda match: spans[int(match[1])], marked) if spans else marked


def _clean_prose(piece: str) -> str:
    if "(Citation:" in piece:
        piece = _CITATION.sub("", piece)
    if "{{" in piece:
        piece = _INSERT.sub("[parameter]", piece)
    if "<" in piece:
        piece = _TAG.sub(_render_tag, piece)
    piece = convert_links_to_text(piece)
    piece = _unescape(piece) if "&" in piece else piece
    if " \n" in piece or "\t\n" in piece:
        piece = _TRAILING_SPACES.sub("", piece)
    return _EMPTY_LINES.sub("\n\n", piece) if "\n\n\n" in piece else piece


def _remove_comments(text: str) -> str:
    """Remove `<!-- … -->`; a comment without an end stays text."""
    parts, done = [], 0
    while (start := text.find("<!--", done)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        parts.append(text[done:start])
        done = end + 3
    return "".join(parts) + text[done:]


def _convert_code_tags(text: str) -> str:
    """Convert `<pre>` and `<code>` to Markdown code, before prose is cleaned. Linear in the text."""
    parts, done = [], 0
    missing: set[str] = set()
    while match := _CODE_TAG.search(text, done):
        name = match["name"].lower()
        end = None if name in missing else _CODE_ENDS[name].search(text, match.end())
        if end is None:
            missing.add(name)  # none follows, so none needs to be looked for again
            parts.append(text[done : match.end()])
            done = match.end()
            continue
        inner = text[match.end() : end.start()]
        code = (
            f"\n\n{make_code_block(html.unescape(inner))}\n\n"
            if name == "pre"
            else _convert_code_spans(name, inner)
        )
        parts += [text[done : match.start()], code]
        done = end.end()
    return "".join(parts) + text[done:]


def _convert_code_spans(name: str, inner: str) -> str:
    inner = _LINK.sub(lambda link: link["text"] if link["target"].startswith("http") else link[0], inner)
    parts = re.split(rf"<{name}>", inner, flags=re.I)
    if len(parts) % 2:  # `<code>a<code> b <code>c</code>`: the second was meant to close
        return "".join(make_code_span(html.unescape(p)) if i % 2 == 0 else p for i, p in enumerate(parts))
    return make_code_span(html.unescape("".join(parts)))


def clean(text: str) -> str:
    """Return upstream Markdown, HTML fragments or plain text as clean Markdown, NFC with LF."""
    text = _CONTROL.sub("", normalise_text(text).replace("\u00a0", " ")).replace("\ufffd", "")
    if "<" in text:
        text = map_prose(text, _remove_comments)
        text = map_prose(text, _convert_code_tags) if "</" in text else text
    text = map_blocks(resolve_references(text), lambda piece: _apply_around_spans(piece, _clean_prose))
    if not find_residue(text):
        return text.strip()
    for _ in range(3):
        text = map_prose(text, lambda piece: _unescape(_replace_forbidden(piece)))
        if not find_residue(text):
            return tidy_whitespace(text)
    return tidy_whitespace(_replace_forbidden(text).replace("&", "& "))


def _replace_forbidden(text: str) -> str:
    for forbidden, replacement in _FORBIDDEN:
        text = text.replace(forbidden, replacement)
    return text


def tidy_whitespace(text: str) -> str:
    """Remove trailing spaces and repeated blank lines outside code."""
    return map_prose(text, lambda piece: _EMPTY_LINES.sub("\n\n", _TRAILING_SPACES.sub("", piece))).strip()


def clean_line(text: str) -> str:
    """Return a title cleaned and on one line."""
    if _PLAIN_LINE.fullmatch(text) and not _MAY_HAVE_RESIDUE.search(text):
        return " ".join(text.split())
    return " ".join(clean(text).split())
