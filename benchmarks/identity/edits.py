"""Edits of real code, each with what must become of the findings in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tree_sitter import Node

from benchmarks.identity.sites import Project, Site, find_sites
from securetag.scanning.identity.syntax import (
    BLOCKS,
    FUNCTIONS,
    ancestors,
    exits,
    functions_around,
    parse,
    statement_of,
    text_of,
    walk,
)
from securetag.scanning.languages import language_of

#: (path, offset of the call's first byte)
At = tuple[str, int]
Expected = Literal["holds", "stale", "gone"]


@dataclass(frozen=True)
class Change:
    """Replace bytes of a file."""

    start: int
    end: int
    text: bytes


@dataclass
class Edit:
    """Versions of a project, the first one judged, and where each site of the first is in the last."""

    kind: str
    versions: list[Project]
    target: At
    truth: dict[At, At | None]
    expected: Expected
    #: Rule → key, in the last version.
    keys: dict[str, str] = field(default_factory=dict)
    #: Rule → rule, in the last version.
    renamed: dict[str, str] = field(default_factory=dict)


class Case:
    """A site in its file, and what edits need to know of it."""

    def __init__(self, path: str, content: bytes, site: Site, rng: random.Random) -> None:
        self.path, self.content, self.site, self.rng = path, content, site, rng
        tree = parse(content, language_of(path))
        assert tree is not None
        self.root = tree.root_node
        node = self.root.descendant_for_byte_range(site.start, site.end - 1)
        while node is not None and (node.start_byte, node.end_byte) != (site.start, site.end):
            node = node.parent
        assert node is not None
        self.call: Node = node
        self.is_python = language_of(path) == "python"
        statement = statement_of(node)
        for parent in [statement, *ancestors(statement)]:
            if parent.parent is not None and parent.parent.type in BLOCKS:
                statement = parent
                break
        #: The statement that is a child of a block and holds the call.
        self.statement = statement
        around = functions_around(node)
        self.function = around[0] if around else None
        #: The outermost definition, with its decorators.
        outer = [
            each for each in [node, *ancestors(node)] if each.parent is not None and each.parent == self.root
        ]
        self.top = outer[0] if outer else node
        self.sites = find_sites(path, content)

    @property
    def indent(self) -> bytes:
        """The blanks before the statement."""
        return self.indent_of(self.statement)

    def indent_of(self, node: Node) -> bytes:
        """The blanks before a node's line; None where code is before it."""
        line = self.content.rfind(b"\n", 0, node.start_byte) + 1
        blanks = self.content[line : node.start_byte]
        if blanks.strip():
            raise Unfit
        return blanks

    def text(self, node: Node) -> bytes:
        """The code of a node."""
        return self.content[node.start_byte : node.end_byte]

    def line_start(self, node: Node) -> int:
        """Offset of the node's line."""
        return self.content.rfind(b"\n", 0, node.start_byte) + 1

    def line_end(self, node: Node) -> int:
        """Offset after the node's last line."""
        end = self.content.find(b"\n", node.end_byte)
        return len(self.content) if end < 0 else end + 1

    def edit(
        self,
        kind: str,
        changes: Sequence[Change],
        expected: Expected = "holds",
        *,
        moved: dict[int, int] | None = None,
        gone: Sequence[int] = (),
        path: str = "",
        others: Project | None = None,
    ) -> Edit:
        """Apply changes to the file. `moved`: where sites inside a replaced text are, in the new content."""
        new, shifted = apply(self.content, changes)
        after = path or self.path
        truth: dict[At, At | None] = {}
        for site in self.sites:
            place: int | None = (moved or {}).get(site.start)
            if place is None and site.start not in gone:
                place = shifted(site.start)
                if place is None:
                    raise Unfit
            truth[(self.path, site.start)] = (after, place) if place is not None else None
        versions: list[Project] = [{self.path: self.content}, {after: new, **(others or {})}]
        return Edit(kind, versions, (self.path, self.site.start), truth, expected)


class Unfit(Exception):
    """This edit can't be made at this site."""


def apply(content: bytes, changes: Sequence[Change]) -> tuple[bytes, Callable[[int], int | None]]:
    """Return the new content, and old offset → new offset (None inside a replaced text)."""
    ordered = sorted(changes, key=lambda change: (change.start, change.end))
    parts, last = [], 0
    for change in ordered:
        if change.start < last:
            raise Unfit
        parts += [content[last : change.start], change.text]
        last = change.end
    new = b"".join([*parts, content[last:]])

    def shifted(offset: int) -> int | None:
        delta = 0
        for change in ordered:
            if change.start <= offset < change.end:
                return None
            if change.end <= offset:
                delta += len(change.text) - (change.end - change.start)
        return offset + delta

    return new, shifted


def names_in(scope: Node) -> dict[str, list[Node]]:
    """Return variable → its occurrences in a function; attributes and argument names aren't variables."""
    result: dict[str, list[Node]] = {}
    for node in walk(scope):
        if node.type not in {
            "identifier",
            "shorthand_property_identifier",
            "shorthand_property_identifier_pattern",
        }:
            continue
        parent = node.parent
        if parent is not None and (
            (parent.type == "attribute" and parent.child_by_field_name("attribute") == node)
            or (parent.type == "keyword_argument" and parent.child_by_field_name("name") == node)
        ):
            continue
        result.setdefault(text_of(node), []).append(node)
    return result


def assigned_names(scope: Node) -> list[str]:
    """Return the names that a function assigns by itself, in order."""
    names = []
    for node in walk(scope, lambda each: each.type not in FUNCTIONS):
        if node.type in {"assignment", "variable_declarator"}:
            target = node.child_by_field_name("left") or node.child_by_field_name("name")
            if target is not None and target.type == "identifier":
                names.append(text_of(target))
    return list(dict.fromkeys(names))


def parameters_of(function: Node) -> list[Node]:
    """Return the plain parameters of a function, self apart."""
    parameters = function.child_by_field_name("parameters")
    if parameters is None:
        return []
    return [
        child
        for child in parameters.named_children
        if child.type == "identifier" and text_of(child) not in {"self", "cls"}
    ] + [
        child.named_children[0]
        for child in parameters.named_children
        if child.type == "typed_parameter" and child.named_children[0].type == "identifier"
    ]


def guards_before(case: Case) -> Iterator[Node]:
    """`if … : return` statements before the call, in the blocks around it, nearest first."""
    current = case.call
    for parent in ancestors(case.call):
        if parent.type in FUNCTIONS:
            return
        if parent.type in {"block", "statement_block"}:
            for child in reversed(parent.named_children):
                if child.start_byte >= current.start_byte or child.type != "if_statement":
                    continue
                body = child.child_by_field_name("consequence")
                if exits(body) and not child.children_by_field_name("alternative"):
                    yield child
        current = parent


def rename_all(case: Case, occurrences: Sequence[Node], new: bytes) -> list[Change]:
    """Replace a name everywhere; `{a}` becomes `{a: new}`."""
    changes = []
    for node in occurrences:
        if node.type.startswith("shorthand"):
            changes.append(Change(node.start_byte, node.end_byte, case.text(node) + b": " + new))
        else:
            changes.append(Change(node.start_byte, node.end_byte, new))
    return changes


_BINDINGS = frozenset({"identifier", "shorthand_property_identifier_pattern"})


def local_names(function: Node) -> set[str]:
    """Return every name that a function, or one in it, binds."""
    names = {
        text_of(node)
        for node in walk(function.child_by_field_name("parameters") or function)
        if node.type in _BINDINGS
    }
    for node in walk(function):
        if node.type in {
            "assignment",
            "variable_declarator",
            "for_statement",
            "as_pattern",
            "named_expression",
            "for_in_clause",
            "for_in_statement",
            "augmented_assignment",
        }:
            target = (
                node.child_by_field_name("left")
                or node.child_by_field_name("name")
                or node.child_by_field_name("alias")
            )
            if target is not None:
                names |= {text_of(each) for each in walk(target) if each.type in _BINDINGS}
    return names


def imported_names(node: Node) -> Iterator[str]:
    """Yield the names that an import of Python binds."""
    for child in node.children_by_field_name("name"):
        if child.type == "aliased_import":
            alias = child.child_by_field_name("alias")
            if alias is not None:
                yield text_of(alias)
        else:
            yield text_of(child).split(".")[0]


#: Makes an edit at a site. Raises Unfit where it can't be made.
Kind = Callable[[Case], Edit]
