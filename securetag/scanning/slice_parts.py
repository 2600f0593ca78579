"""What slices of one file ask of a node of its syntax tree, read once for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from tree_sitter import Node

from securetag.scanning.identity.syntax import CALLS, CLASSES, FUNCTIONS, body_of, text_of, walk

#: What an object calls itself.
SELF = frozenset({"self", "cls", "this"})
_NAMES = frozenset({"identifier", "shorthand_property_identifier", "shorthand_property_identifier_pattern"})
_ATTRIBUTES = frozenset({"attribute", "member_expression"})


class Parts:
    """What a node consists of, as far as slices ask for it."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @cached_property
    def statements(self) -> list[Node]:
        """The statements of a block."""
        return self._node.named_children

    @cached_property
    def starts(self) -> list[int]:
        """The offsets at which these begin."""
        return [statement.start_byte for statement in self.statements]

    @cached_property
    def names(self) -> list[Node]:
        """The variables that an expression or the head of a statement reads."""
        return list(_names_in(self._node))

    @cached_property
    def attributes(self) -> list[Node]:
        """The `self.name` and `this.name` that it reads."""
        return list(_own_attributes(self._node))

    @cached_property
    def calls(self) -> list[Node]:
        """The calls in it, those in functions of its own apart."""
        inside = walk(self._node, lambda each: each.type not in FUNCTIONS)
        return [each for each in inside if each.type in CALLS]


def _names_in(node: Node) -> Iterator[Node]:
    """The variables that an expression or the head of a statement reads."""
    body = body_of(node)
    for each in walk(node, lambda inner: inner != body and inner.type not in CLASSES):
        if each.type in _NAMES and not _is_label(each):
            yield each


def _is_label(name: Node) -> bool:
    """Is it the name of an attribute, of a keyword argument or of a pair's key?"""
    parent = name.parent
    if parent is None:
        return False
    if parent.type == "attribute":
        return name == parent.child_by_field_name("attribute")
    if parent.type == "keyword_argument":
        return name == parent.child_by_field_name("name")
    return False


def _own_attributes(node: Node) -> Iterator[Node]:
    """The `self.name` and `this.name` that code reads."""
    body = body_of(node)
    for each in walk(node, lambda inner: inner != body):
        if each.type in _ATTRIBUTES:
            owner = each.child_by_field_name("object")
            if owner is not None and text_of(owner) in SELF:
                yield each
