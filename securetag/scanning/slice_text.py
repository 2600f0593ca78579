"""The text of a file as a slice shows it: without what can't decide whether a flagged line is vulnerable.

A verdict follows from which value flows where. What follows is for human readers, so whoever wrote the code
may say anything there, and a small model that reads it can be talked into a verdict:

- **comments**;
- **statements without an effect**: a bare constant, an assertion of a constant, a condition that calls
  nothing and guards nothing;
- **types that nothing checks**: of variables and results. The types of parameters and of a class's fields
  stay where they are names, since frameworks convert by them (`item_id: int`); strings in them go;
- **prose in strings and patterns**. What a string does in a flow shows in its placeholders, quotes, signs
  and short words: a statement, a URL, a path, a command, a format, a pattern. Of it stays all but runs of
  MIN_WORDS words in a row, text that the string quotes, and the middle of long text, where a mark stands;
- **text between JSX elements**, where no value can be.

Words that are split over several strings, and single words, stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tree_sitter import Node

from securetag.scanning.identity.syntax import COMMENTS, text_of, walk

__all__ = ["LEFT_OUT", "blank_comments", "has_no_effect", "list_unread", "mask_prose", "show_lines"]

#: Stands where text is left out.
LEFT_OUT = "…"
#: Words in a row, with nothing but spaces and a sentence's signs between them, that are prose.
MIN_WORDS = 3
#: Characters of text without a placeholder that are kept, and of longer text those at its two ends: what
#: stands before a value says what it becomes part of.
MAX_TEXT_CHARS, TEXT_HEAD_CHARS, TEXT_TAIL_CHARS = 80, 40, 24

_STRINGS = frozenset({"string", "template_string"})
_INTERPOLATIONS = frozenset({"interpolation", "template_substitution"})
_CONSTANTS = frozenset(
    {"string", "concatenated_string", "template_string", "integer", "float", "number", "regex"}
    | {"true", "false", "none", "null", "undefined", "ellipsis", "identifier"}
)
#: Expressions that do nothing where their parts don't.
_PURE = frozenset(
    {"tuple", "list", "set", "dictionary", "array", "object", "pair", "parenthesized_expression"}
    | {"expression_list", "sequence_expression", "comparison_operator", "boolean_operator", "not_operator"}
    | {"binary_operator", "binary_expression", "unary_operator", "unary_expression", "interpolation"}
    | {"template_substitution", "string_start", "string_content", "string_end", "string_fragment"}
    | {"escape_sequence", "escape_interpolation", "type_conversion", "format_specifier", *_CONSTANTS}
)
_EMPTY = frozenset({"pass_statement", "empty_statement"})
_DROPPED = frozenset({"expression_statement", "assert_statement", "if_statement"})
_BLOCKS = frozenset({"block", "statement_block"})
_TYPED_PARAMETERS = frozenset(
    {"typed_parameter", "typed_default_parameter", "required_parameter", "optional_parameter"}
)
_VARIABLES = frozenset({"assignment", "variable_declarator"})
_TYPE_STRINGS = frozenset({"string", "concatenated_string", "template_string", "template_literal_type"})

_STATEMENT = re.compile(
    r"(?is)^\s*(?:select\b.*\bfrom\b|insert\s+into\b|replace\s+into\b|update\b.*\bset\b|delete\s+from\b|with\b.*\bselect\b)"
)
_KEYWORDS = frozenset(
    {
        *("select", "distinct", "from", "where", "and", "or", "not", "in", "is", "null", "like"),
        *("ilike", "between", "exists", "join", "left", "right", "inner", "outer", "full", "cross"),
        *("on", "using", "group", "order", "by", "having", "limit", "offset", "union", "all", "as"),
        *("asc", "desc", "insert", "replace", "into", "values", "update", "set", "delete", "with"),
        *("case", "when", "then", "else", "end", "returning", "count", "sum", "min", "max", "avg"),
        "coalesce",
    }
)
_WORD = r"[^\W\d_]\w*"
#: A blank, or how a literal or a pattern spells one.
_BLANK = r"(?:[ \t\n]|\\(?:\n|x20|u0020|u\{20\}|040|[stnrfv])[+*?]?)"
_WORDS = re.compile(rf"(?<![\w\\%)]){_WORD}(?:[’,.;:!?()–—-]*{_BLANK}+[’(¿¡–—-]*{_WORD})+")
_ONE_WORD = re.compile(_WORD)
#: Writing without spaces between its words.
_IDEOGRAMS = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]{3,}")
_QUOTED = re.compile(r"""(\\?["'])((?:(?!\1)[^\n])*)\1""")
#: What stands for itself in a pattern.
_PLAIN = re.compile(r"[\w .,:;-]+")
#: A place for a value within a string, and what is no text of it.
_VALUE = "\0"
_PLACEHOLDER = re.compile(r"\0|\{|\}|%[-#0 +]*\d*[a-zA-Z(]")


class _Edits:
    """What is put in the place of pieces of a file, row by row."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self._lines = lines
        self._by_row: dict[int, list[tuple[int, int, bytes]]] = {}

    def put(self, node: Node, text: bytes = b"", *, first: Node | None = None) -> None:
        """Put `text` in the place of a node, or of all from `first` to it."""
        (row, start), (last, end) = (first or node).start_point, node.end_point
        for number in range(row, min(last, len(self._lines) - 1) + 1):
            stop = end if number == last else len(self._lines[number])
            self.add(number, start if number == row else 0, stop, text if number == row else b"")

    def add(self, row: int, start: int, stop: int, text: bytes) -> None:
        self._by_row.setdefault(row, []).append((start, stop, text))

    def apply(self) -> list[bytes]:
        """Return the lines with everything replaced."""
        lines = list(self._lines)
        for row, edits in self._by_row.items():
            line = self._lines[row]
            pieces, at = [], 0
            for start, stop, text in sorted(edits):
                if start >= at:
                    pieces += [line[at:start], text]
                    at = stop
            lines[row] = b"".join([*pieces, line[at:]])
        return lines


def blank_comments(content: bytes, root: Node) -> list[bytes]:
    """Return the file's lines with spaces for comments: what stays keeps its column."""
    lines = content.split(b"\n")
    edits = _Edits(lines)
    for node in walk(root):
        if _is_comment(node):
            (row, start), (last, end) = node.start_point, node.end_point
            for number in range(row, min(last, len(lines) - 1) + 1):
                begin = start if number == row else 0
                stop = end if number == last else len(lines[number])
                edits.add(number, begin, stop, b" " * (stop - begin))
    return edits.apply()


def show_lines(content: bytes, root: Node) -> list[bytes]:
    """Return the file's lines as slices show them. What goes leaves its line, so that there are as many."""
    lines = content.split(b"\n")
    edits = _Edits(lines)
    dropped: set[int] = set()
    for node in walk(root, lambda each: each.id not in dropped):
        if _is_comment(node):
            edits.put(node)
        elif node.is_named and node.type in _STRINGS:
            _mask_string(node, edits)
        elif node.type == "regex_pattern":
            _mask_text(node, text_of(node), 0, edits, has_quotes=False)
        elif node.type == "jsx_text":
            _drop_text(node, edits)
        elif (first := _unchecked_type(node)) is not None:
            last = node.child_by_field_name("type") or node.child_by_field_name("return_type")
            assert last is not None
            dropped.add(last.id)
            edits.put(last, first=first)
            for row in range(first.start_point.row, last.end_point.row if last.type == "type" else 0):
                # Python's statement goes on behind a type of several lines.
                edits.add(row, len(lines[row]), len(lines[row]), b"\\")
            space = first.prev_sibling
            if space is not None and space.end_point.row == first.start_point.row:
                edits.add(first.start_point.row, space.end_point.column, first.start_point.column, b"")
        elif node.type in _DROPPED and has_no_effect(node):
            dropped.add(node.id)
            _drop_statement(node, edits)
    return edits.apply()


def list_unread(root: Node) -> set[int]:
    """Return the lines, from 1, that hold what the grammar can't read."""
    if not root.has_error:
        return set()
    nodes = [each for each in walk(root, lambda inner: inner.has_error) if each.is_error]
    return {row + 1 for each in nodes for row in range(each.start_point.row, each.end_point.row + 1)}


def has_no_effect(statement: Node) -> bool:
    """Does a statement do nothing, whatever the values of its variables?"""
    kind = statement.type
    parts = [child for child in statement.named_children if child.type not in COMMENTS]
    if kind in _EMPTY:
        return True
    if kind == "expression_statement":
        return bool(parts) and all(map(_is_pure, parts)) and parts[0].type != "ellipsis"
    if kind == "assert_statement":
        return _is_true(parts[0]) if parts else False
    if kind in {"if_statement", "elif_clause"}:
        conditions = statement.children_by_field_name("condition")
        branches = [child for child in parts if child not in conditions]
        return bool(branches) and all(map(_is_pure, conditions)) and all(map(has_no_effect, branches))
    if kind in _BLOCKS or kind == "else_clause":
        return all(map(has_no_effect, parts))
    return False


def mask_prose(text: str) -> str:
    """Return a string's text with LEFT_OUT in the place of prose; `\\0` stands for a value that is put in."""
    pieces, at = [], 0
    for start, stop in _find_prose(text):
        pieces += [text[at:start], LEFT_OUT]
        at = stop
    return "".join([*pieces, text[at:]])


def _is_comment(node: Node) -> bool:
    return node.type in COMMENTS and node.type != "line_continuation"


def _is_pure(expression: Node) -> bool:
    return all(not each.is_named or each.type in _PURE or each.type in COMMENTS for each in walk(expression))


def _is_true(expression: Node) -> bool:
    """Is it a constant that counts as true? A tuple with members always does."""
    if expression.type == "parenthesized_expression" and expression.named_child_count == 1:
        return _is_true(expression.named_children[0])
    if expression.type in {"tuple", "list", "set", "dictionary"}:
        return expression.named_child_count > 0 and _is_pure(expression)
    if expression.type == "concatenated_string":
        return any(map(_is_true, expression.named_children))
    if expression.type == "string":
        return any(child.type == "string_content" for child in expression.named_children)
    return expression.type == "true" or (
        expression.type in {"integer", "float"} and any(digit in "123456789" for digit in text_of(expression))
    )


def _drop_statement(node: Node, edits: _Edits) -> None:
    """Drop a statement with the semicolon that separates it; Python's block needs one to be left."""
    parent, after, before = node.parent, node.next_sibling, node.prev_sibling
    assert parent is not None
    others = [child for child in parent.named_children if child.type not in COMMENTS]
    if parent.type == "block" and others[0] == node and all(map(has_no_effect, others)):
        edits.put(node, b"pass")
    elif after is not None and after.type == ";":
        edits.put(after, first=node)
        following = after.next_sibling
        if following is not None and following.start_point.row == after.end_point.row:
            edits.add(after.end_point.row, after.end_point.column, following.start_point.column, b"")
    elif before is not None and before.type == ";":
        edits.put(node, first=before)
    else:
        edits.put(node)


def _unchecked_type(node: Node) -> Node | None:
    """Return where the type of a variable, parameter or result begins, if it is to be left out."""
    kind = node.type
    annotation = node.child_by_field_name("type" if kind in _TYPED_PARAMETERS | _VARIABLES else "return_type")
    if annotation is None or annotation.type not in {"type", "type_annotation"}:
        return None
    if kind in _TYPED_PARAMETERS or (kind == "assignment" and _is_field(node)):
        strings = [each for each in walk(annotation) if each.is_named and each.type in _TYPE_STRINGS]
        if all(_is_choice(string) for string in strings):
            return None
    elif kind == "assignment" and node.child_by_field_name("right") is None:
        return None
    if annotation.type == "type_annotation":
        return annotation
    return annotation.prev_sibling if annotation.prev_sibling is not None else None


def _is_field(assignment: Node) -> bool:
    """Does the assignment stand in a class's own body?"""
    body = assignment.parent.parent if assignment.parent is not None else None
    return body is not None and body.parent is not None and body.parent.type == "class_definition"


def _is_choice(string: Node) -> bool:
    """Is a string in a type one of those that `Literal` allows? A framework refuses others."""
    generic = string.parent
    while generic is not None and generic.type in {"type", "type_parameter", "tuple", "expression_list"}:
        generic = generic.parent
    if generic is None or generic.type not in {"generic_type", "subscript"}:
        return False
    return text_of(generic.named_children[0]).rpartition(".")[2] == "Literal"


def _mask_string(node: Node, edits: _Edits) -> None:
    """Mask prose in a literal, apart from the code in it."""
    pieces, at = [], node.start_byte
    source = node.text or b""
    for child in node.children:
        if child.type in _INTERPOLATIONS:
            pieces += [source[at - node.start_byte : child.start_byte - node.start_byte]]
            pieces += [_VALUE.encode() * (child.end_byte - child.start_byte)]
            at = child.end_byte
    raw = b"".join([*pieces, source[at - node.start_byte :]])
    # A character for each byte that isn't text, so that offsets stay.
    text = raw.decode("utf-8", errors="surrogateescape")
    begin, end = _delimiters(text)
    _mask_text(node, text[:end], begin, edits)


def _mask_text(node: Node, text: str, begin: int, edits: _Edits, *, has_quotes: bool = True) -> None:
    """Mask prose in the text of a node from `begin` on; a character that is a lone surrogate is a byte."""
    inner = text[begin:]
    for start, stop in _find_prose(inner, has_quotes=has_quotes):
        before = text[: begin + start]
        line = before.rpartition("\n")[2]
        row = node.start_point.row + before.count("\n")
        column = len(line.encode("utf-8", errors="surrogateescape"))
        column += node.start_point.column if row == node.start_point.row else 0
        length = len(inner[start:stop].encode("utf-8", errors="surrogateescape"))
        edits.add(row, column, column + length, LEFT_OUT.encode())


def _drop_text(node: Node, edits: _Edits) -> None:
    """Put a mark in the place of the words of a JSX element, line by line."""
    row, column = node.start_point
    for number, line in enumerate((node.text or b"").split(b"\n")):
        words = line.strip()
        if words:
            start = line.index(words) + (column if number == 0 else 0)
            edits.add(row + number, start, start + len(words), LEFT_OUT.encode())


def _delimiters(text: str) -> tuple[int, int]:
    """Return where the text of a literal begins and ends, without prefix and quotes."""
    match = re.match(r"""[a-zA-Z]*(\"\"\"|'''|["'`])""", text)
    if match is None:
        return 0, len(text)
    closing = len(match[1]) if text.endswith(match[1]) and len(text) >= match.end() + len(match[1]) else 0
    return match.end(), len(text) - closing


def _find_prose(text: str, *, has_quotes: bool = True) -> list[tuple[int, int]]:
    """Return the pieces of a string's text that are left out, in order; none crosses a line."""
    spans = [
        match.span(2)
        for match in _QUOTED.finditer(text)
        if not _PLACEHOLDER.search(match[2])
        and _ONE_WORD.search(match[2])
        and (has_quotes or _PLAIN.fullmatch(match[2]))
    ]
    keywords = _KEYWORDS if _STATEMENT.match(text) else frozenset()
    for match in [*_WORDS.finditer(text), *_IDEOGRAMS.finditer(text)]:
        spans += _list_runs(text, match.span(), keywords)
    for match in re.finditer(r"[^\0\n]+", text):
        start, stop = match.span()
        inside = any(start <= first < stop for first, _ in spans)
        if stop - start > MAX_TEXT_CHARS and not inside:
            spans.append((start + TEXT_HEAD_CHARS, stop - TEXT_TAIL_CHARS))
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return [part for start, stop in merged for part in _split_lines(text, start, stop)]


def _split_lines(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield what a piece has of each line, without the blanks around it."""
    for match in re.finditer(r"[^\s](?:[^\n]*[^\s])?", text[start:stop]):
        yield start + match.start(), start + match.end()


def _list_runs(text: str, span: tuple[int, int], keywords: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Yield the runs of MIN_WORDS words and more in a piece, which a statement's keywords end."""
    if _IDEOGRAMS.fullmatch(text, *span):
        yield span
        return
    run: list[tuple[int, int]] = []
    for word in [*_ONE_WORD.finditer(text, *span), None]:
        if word is not None and word[0].lower() not in keywords:
            run.append(word.span())
            continue
        if len(run) >= MIN_WORDS:
            yield run[0][0], run[-1][1]
        run = []
