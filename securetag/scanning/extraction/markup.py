"""Inline scripts of HTML, of templates and of Vue components, as JavaScript at the same offsets.

No HTML parser is used: Python's own took 125 CPU-seconds for 80 kB of `<a ` (3.11), and one in C needs time
that is quadratic in the depth of open elements, while any file may come from a stranger. A script ends at the
first `</script`, whatever stands in it, so that its beginning and its end are all that has to be found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Characters of one `<script …>`; a longer one is no script.
MAX_TAG = 4_096
_BEGIN = re.compile(r"<!--|<script(?=[\s>/])", re.IGNORECASE)
_END = re.compile(r"</script(?=[\s>/])", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([^\s"'>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")
_TYPES = frozenset({"", "module", "text/babel", "text/jsx", "text/typescript", "jsx", "ts", "tsx", "js"})
_TYPESCRIPT = frozenset({"ts", "tsx", "text/typescript", "application/typescript"})
#: Opening of what a template engine replaces → its end; `=`, `-` and `{` print a value.
_TEMPLATE_ENDS = {"{{": "}}", "{%": "%}", "{#": "#}", "<%": "%>"}
_TEMPLATE = re.compile(r"\{\{|\{%|\{#|<%")
_NOT_NEWLINE = re.compile(r"[^\n]")


@dataclass(frozen=True)
class Scripts:
    """The scripts of one file; all other bytes are blanks, so that lines and offsets are the file's."""

    content: bytes
    language: str


def read_scripts(content: bytes, *, is_template: bool) -> Scripts | None:
    """Return the inline scripts of a file; None where it has none.

    With `is_template`, `{{ value }}` and `<%= value %>` become names of the same length, and statements of
    the template blanks: a value that only the server knows is a variable as far as a rule is concerned.
    """
    # Latin-1 has a character for each byte, so that offsets are those of the file.
    text = content.decode("latin-1")
    if is_template:
        text = _replace_template_tags(text)
    pieces: list[str] = []
    position, language = 0, "javascript"
    for start, end, kind in _find_scripts(text):
        # A `;` in place of the `<` of its end: two scripts on one line are two statements.
        pieces += [_blank(text[position:start]), text[start:end], ";" if end < len(text) else ""]
        position = min(end + 1, len(text))
        if kind in _TYPESCRIPT:
            language = "typescript"
    if not pieces:
        return None
    pieces.append(_blank(text[position:]))
    return Scripts("".join(pieces).encode("latin-1"), language)


def _find_scripts(text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, type) of each script that holds code."""
    scripts: list[tuple[int, int, str]] = []
    position = 0
    while begin := _BEGIN.search(text, position):
        if begin[0] == "<!--":
            if (position := text.find("-->", begin.end())) < 0:
                break
            continue
        start = _end_of_tag(text, begin.end())
        if start is None:
            # All that was looked at stands in the tag, for a browser too.
            position = begin.end() + MAX_TAG
            continue
        end = _END.search(text, start)
        stop = end.start() if end else len(text)
        attributes = {
            match[1].lower(): (match[2] or match[3] or match[4] or "").strip().lower()
            for match in _ATTRIBUTE.finditer(text, begin.end(), start - 1)
        }
        kind = attributes.get("lang") or attributes.get("type", "").split(";")[0]
        if (kind in _TYPES or kind.endswith(("javascript", "ecmascript", "typescript"))) and text[
            start:stop
        ].strip():
            scripts.append((start, stop, kind))
        position = stop
        if end is None:
            break
    return scripts


def _end_of_tag(text: str, position: int) -> int | None:
    """Return the offset after the `>` that ends the tag; None where there is none."""
    quote = ""
    for offset in range(position, min(len(text), position + MAX_TAG)):
        character = text[offset]
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == ">":
            return offset + 1
    return None


def _replace_template_tags(text: str) -> str:
    pieces: list[str] = []
    position = 0
    unclosed: set[str] = set()
    while begin := _TEMPLATE.search(text, position):
        opening = begin[0]
        end = -1 if opening in unclosed else text.find(_TEMPLATE_ENDS[opening], begin.end())
        if end < 0:
            # Nothing closes it, nor any later one: looking again would cost the square of the file.
            unclosed.add(opening)
            pieces.append(text[position : begin.end()])
            position = begin.end()
            continue
        end += 2
        if opening == "{{" and text.startswith("}", end):
            end += 1
        pieces += [text[position : begin.start()], _as_blanks_or_name(text[begin.start() : end])]
        position = end
    return "".join([*pieces, text[position:]])


def _as_blanks_or_name(tag: str) -> str:
    """Return a name for a tag that prints, else blanks; as long as the tag, with its line ends."""
    if tag.startswith(("{%", "{#", "{{#", "{{/", "{{!", "{{>", "{{else")):
        return _blank(tag)
    if tag.startswith("<%") and not tag.startswith(("<%=", "<%-")):
        return _blank(tag)
    first, newline, rest = tag.partition("\n")
    return "$" * len(first) + newline + _blank(rest)


def _blank(text: str) -> str:
    return _NOT_NEWLINE.sub(" ", text)
