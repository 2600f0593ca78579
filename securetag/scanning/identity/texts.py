"""Where a text that is used on some lines was put together: by the variables of its function."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from securetag.scanning.identity.definitions import reaching
from securetag.scanning.identity.flow import MAX_FOLLOWED, File
from securetag.scanning.identity.syntax import CALLS, FUNCTIONS, STRINGS, ancestors, parse, text_of, walk

_IDENTIFIERS = frozenset({"identifier", "shorthand_property_identifier"})
#: What holds a text without being one.
_WRAPPERS = frozenset(
    {
        "argument_list",
        "arguments",
        "array",
        "binary_expression",
        "binary_operator",
        "conditional_expression",
        "list",
        "parenthesized_expression",
        "ternary_expression",
    }
)
#: Methods of a text whose result holds their arguments.
_JOINING = (".format", ".join", ".concat")


class TextFlow:
    """The texts of one file, followed from where they are used to where they are put together."""

    def __init__(self, content: bytes, language: str) -> None:
        tree = parse(content, language)
        self._file = File(tree, content) if tree is not None else None

    def built_lines(self, first: int, last: int) -> frozenset[int]:
        """Return the lines of the texts that the variables on lines `first` to `last` of a function hold.

        A text is a literal, also one with values in it, a sum or a formatted string. Texts are followed from
        variable to variable, and through what is added to a list, but not through calls.
        """
        if self._file is None:
            return frozenset()
        lines: set[int] = set()
        waiting = list(_names_on(self._file.root, first, last))
        visited: set[int] = set()
        while waiting and len(visited) < MAX_FOLLOWED:
            for value in self._values(waiting.pop()):
                if value.id in visited:
                    continue
                visited.add(value.id)
                for part in _parts(value):
                    if part.type in STRINGS:
                        lines.update(range(part.start_point.row + 1, part.end_point.row + 2))
                    waiting += [node for node in walk(part, _is_text) if node.type in _IDENTIFIERS]
        return frozenset(lines - set(range(first, last + 1)))

    def text_around(self, line: int) -> range:
        """Return the lines of the text that a line begins in, or with; that line alone for other code."""
        if self._file is None:
            return range(line, line + 1)
        code = self._file.content.split(b"\n")[line - 1 : line]
        column = len(code[0]) - len(code[0].lstrip()) if code else 0
        node = self._file.root.descendant_for_point_range((line - 1, column), (line - 1, column))
        around = (
            [each for each in (node, *ancestors(node)) if each.type in STRINGS] if node is not None else []
        )
        if not around:
            return range(line, line + 1)
        return range(around[-1].start_point.row + 1, around[-1].end_point.row + 2)

    def _values(self, name: Node) -> Iterator[Node]:
        """Yield the expressions that a variable of a function can hold."""
        if self._file is None:
            return
        text = text_of(name)
        scope = self._file.scope_of(name, text)
        if scope is None or scope.node.type not in FUNCTIONS:
            return
        for definition in reaching(scope, name, text, self._file.put_inside(name, text, scope)):
            if definition is not None:
                yield definition.value


def _names_on(root: Node, first: int, last: int) -> Iterator[Node]:
    def is_near(node: Node) -> bool:
        return node.start_point.row < last and node.end_point.row >= first - 1

    for node in walk(root, is_near):
        if node.type in _IDENTIFIERS and is_near(node):
            yield node


def _is_text(node: Node) -> bool:
    """Return whether a node's value is a text made of its parts: a call is none, whatever it gets."""
    return node.type not in CALLS and node.type not in FUNCTIONS


def _parts(value: Node) -> Iterator[Node]:
    """Yield the texts and names that an expression is made of."""
    stack = [value]
    while stack:
        node = stack.pop()
        if node.type in STRINGS or node.type in _IDENTIFIERS:
            yield node
        elif node.type in _WRAPPERS:
            stack += node.named_children
        elif node.type in CALLS:
            # text.strip() is the text that it is called on, "…".format(x) and ", ".join(x) hold x too.
            callee = node.child_by_field_name("function")
            target = callee.child_by_field_name("object") if callee is not None else None
            if callee is not None and target is not None:
                stack.append(target)
                arguments = node.child_by_field_name("arguments")
                if arguments is not None and text_of(callee).endswith(_JOINING):
                    stack.append(arguments)
