"""Imports that a definition needs in a file of its own, and those by which the rest still reaches it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tree_sitter import Node

from benchmarks.identity.edits import Case, Change, Unfit, imported_names, names_in
from securetag.scanning.identity.syntax import FUNCTIONS, STRINGS, text_of, walk

_IMPORTS = frozenset({"import_statement", "import_from_statement", "future_import_statement"})
_DECLARATIONS = frozenset({"lexical_declaration", "variable_declaration"})
_NAMED = frozenset(
    {
        "function_definition",
        "class_definition",
        "function_declaration",
        "generator_function_declaration",
        "class_declaration",
    }
)
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class SplitModule:
    """The texts that join two files which were one."""

    #: Before and after the definition, in its new file.
    head: bytes
    tail: bytes
    #: In the file that it left.
    changes: list[Change]


def split_module(case: Case, part: str) -> SplitModule:
    """Join the file of a case with the file `part`, to which its top definition moves.

    Both import what they use of each other, as after a move by an editor. Raises Unfit where the code would
    not run after that.
    """
    definition = _Definition(case)
    return _split_python(definition, part) if case.is_python else _split_javascript(definition, part)


class _Definition:
    """A top definition, and what it shares with the rest of its module."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.name = _name_of(case.top)
        self.rest = [node for node in case.root.named_children if node != case.top]
        self._bound = {node.id: list(_bound_by(node)) for node in self.rest}
        self.imports = [node for node in self.rest if _is_import(case, node)]
        names = set(names_in(case.top)) | _quoted_names(case.top)
        for node in self.imports:
            names |= set(names_in(node))  # of their conditions
        imported = {name for node in self.imports for name in self._bound[node.id]}
        #: Nodes of the rest that bind names which the definition uses, and those names.
        self.used: dict[str, Node] = {}
        for node in self.rest:
            for name in self._bound[node.id]:
                if name in names and name not in imported and name != self.name:
                    self.used[name] = node
        self.is_used = any(self.name in _all_names(node) for node in self.rest)
        #: Does the rest use it while the module is loaded?
        self.is_used_early = any(self.name in _names_at_load(node) for node in self.rest)
        rebound = {
            text_of(name)
            for node in walk(case.root)
            if node.type == "global_statement"
            for name in node.named_children
        }
        if rebound & {*self.used, self.name} or any(
            node.type == "global_statement" for node in walk(case.top)
        ):
            raise Unfit  # an imported name would no longer be the variable
        if any(self.name in bound for bound in self._bound.values()):
            raise Unfit  # overloads, and definitions under a condition

    @property
    def is_cyclic(self) -> bool:
        return bool(self.used) and self.is_used

    @property
    def needs_later_names(self) -> bool:
        """Is a name that it uses bound after it?"""
        return any(node.start_byte > self.case.top.start_byte for node in self.used.values())


def _split_python(definition: _Definition, part: str) -> SplitModule:
    case = definition.case
    stem = PurePosixPath(case.path).stem
    lines = [case.text(node) for node in definition.imports]
    if definition.used:
        module = "." if stem == "__init__" else f".{stem}"
        lines.append(f"from {module} import {', '.join(sorted(definition.used))}".encode())
    head = b"\n".join([*lines, b"\n", b""]) if lines else b""
    line = f"from .{PurePosixPath(part).stem} import {definition.name}\n".encode()
    place = case.line_start(case.top)
    if definition.is_cyclic and definition.needs_later_names:
        # The other file imports from this one while it is loaded: at the end it has all that is needed.
        if definition.is_used_early:
            raise Unfit
        place = len(case.content)
    return SplitModule(head, b"", [Change(place, place, line)] if definition.is_used else [])


def _split_javascript(definition: _Definition, part: str) -> SplitModule:
    case = definition.case
    if any(node.type in {"import_statement", "export_statement"} for node in definition.rest):
        raise Unfit  # modules of ECMAScript: none of the packages has a definition that isn't exported
    stem = PurePosixPath(case.path).stem
    lines = [case.text(node) for node in definition.imports]
    changes: list[Change] = []
    end = len(case.content)
    if definition.used:
        names = sorted(definition.used)
        lines.append(f"const {{ {', '.join(names)} }} = require('./{stem}')".encode())
        exports = "".join(f"module.exports.{name} = {name}\n" for name in names)
        changes.append(Change(end, end, b"\n" + exports.encode()))
    if definition.is_used:
        line = f"const {{ {definition.name} }} = require('./{PurePosixPath(part).stem}')\n".encode()
        if not definition.is_cyclic:
            place = case.line_end(definition.imports[-1]) if definition.imports else _after_directives(case)
        elif definition.is_used_early:
            raise Unfit
        else:
            place = end
        changes.append(Change(place, place, line))
    head = b"\n".join([b"'use strict'", *lines, b"", b""])
    return SplitModule(head, f"\nmodule.exports = {{ {definition.name} }}\n".encode(), changes)


def _after_directives(case: Case) -> int:
    place = 0
    for node in case.root.named_children:
        if node.type not in {"comment", "hash_bang_line"} and not _is_directive(node):
            break
        if node.type != "comment":
            place = case.line_end(node)
    return place


def _is_directive(node: Node) -> bool:
    return node.type == "expression_statement" and node.named_children[0].type == "string"


def _is_import(case: Case, node: Node) -> bool:
    """Does a statement of the module only import? Also under `try` and `if TYPE_CHECKING`."""
    if node.type in _IMPORTS:
        return True
    if node.type in {"try_statement", "if_statement"}:
        inner = [
            each
            for block in walk(node)
            if block.type == "block"
            for each in block.named_children
            if each.type not in {"comment", "try_statement", "if_statement"}
        ]
        return bool(inner) and all(each.type in {*_IMPORTS, "pass_statement"} for each in inner)
    return node.type in _DECLARATIONS and b"require(" in case.text(node)


def _name_of(top: Node) -> str:
    node = top.child_by_field_name("definition") if top.type == "decorated_definition" else top
    name = node.child_by_field_name("name") if node is not None else None
    if name is None:
        raise Unfit
    return text_of(name)


def _bound_by(node: Node) -> Iterator[str]:
    """Yield the names that a statement of the module binds in it."""
    definition = node.child_by_field_name("definition") or node
    if definition.type in _NAMED:
        yield _name_of(node)
        return
    for each in walk(node, lambda child: child.type not in FUNCTIONS and child.type not in _NAMED):
        if each.type in _NAMED:
            name = each.child_by_field_name("name")
            if name is not None:
                yield text_of(name)
        elif each.type in {"assignment", "variable_declarator", "for_statement", "named_expression"}:
            target = each.child_by_field_name("left") or each.child_by_field_name("name")
            if target is not None and target.type not in {"attribute", "subscript"}:
                yield from (text_of(name) for name in walk(target) if name.type in _BINDING)
        elif each.type == "as_pattern_target":
            yield from (text_of(name) for name in walk(each) if name.type == "identifier")
        elif each.type in _IMPORTS:
            yield from imported_names(each)


_BINDING = frozenset({"identifier", "shorthand_property_identifier_pattern"})


def _quoted_names(node: Node) -> set[str]:
    """Return the words of short texts: an annotation may be one."""
    texts = [text_of(each) for each in walk(node) if each.type in STRINGS]
    return {word for text in texts if len(text) < 80 and " " not in text for word in _WORDS.findall(text)}


def _all_names(node: Node) -> set[str]:
    names = set(names_in(node))
    if node.type == "expression_statement" and b"__all__" in (node.text or b""):
        names |= set(_WORDS.findall(text_of(node)))
    return names


def _names_at_load(node: Node) -> Sequence[str]:
    """Return the variables that a statement of the module uses while the module is loaded."""
    names: list[str] = []
    stack = [node]
    while stack:
        each = stack.pop()
        if each.type in _BINDING or each.type == "shorthand_property_identifier":
            names.append(text_of(each))
        for child in each.children:
            is_body = each.child_by_field_name("body") == child
            if not (each.type in FUNCTIONS and is_body):
                stack.append(child)
    return names
