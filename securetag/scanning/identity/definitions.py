"""What the variables of a function, or of a module, are given, and what of it a use can see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tree_sitter import Node

from securetag.scanning.identity.syntax import (
    BLOCKS,
    CALLS,
    CLASSES,
    FUNCTIONS,
    ancestors,
    contains,
    name_of,
    text_of,
    walk,
)


@dataclass(frozen=True)
class Definition:
    """A place where a variable gets a value."""

    #: The statement or clause; it has run when the code after its end runs.
    end: int
    block: Node
    value: Node
    #: `each`, `.name`, `[1]`, …: which part of the value it is.
    part: tuple[str, ...] = ()
    #: Does it replace the older value?
    replaces: bool = True


@dataclass
class Scope:
    """A function, or the module, with what its variables get."""

    node: Node
    parameters: list[str] = field(default_factory=list)
    definitions: dict[str, list[Definition]] = field(default_factory=lambda: defaultdict(list))
    names: frozenset[str] = frozenset()
    _newest_first: dict[str, list[Definition]] = field(default_factory=dict)

    def newest_first(self, name: str) -> list[Definition]:
        """Return what a variable is given, what runs last first."""
        if name not in self._newest_first:
            self._newest_first[name] = sorted(self.definitions.get(name, ()), key=lambda each: -each.end)
        return self._newest_first[name]


def reaching(scope: Scope, use: Node, name: str, inner: Sequence[Definition] = ()) -> list[Definition | None]:
    """Return the definitions that a use can see, newest first; None stands for the parameter.

    `inner`: what functions inside the scope, around the use, put into the variable.
    """
    result: list[Definition | None] = []
    definitions = scope.newest_first(name)
    if inner:
        definitions = sorted([*definitions, *inner], key=lambda each: -each.end)
    for definition in definitions:
        if definition.end > use.start_byte:
            continue
        result.append(definition)
        if definition.replaces and _dominates(definition.block, use):
            return result
    if name in scope.parameters or not result:
        result.append(None)
    return result


def _dominates(block: Node, use: Node) -> bool:
    """Has a statement of the block always run before the use that comes after it?"""
    current: Node | None = block
    for _ in range(20):
        if current is None or contains(current, use):
            return current is not None
        parent = current.parent
        if parent is None or parent.type not in {"with_statement", "try_statement"}:
            return False
        current = next((each for each in ancestors(parent) if each.type in BLOCKS), None)
    return False


def read_scope(node: Node) -> Scope:
    """Return the scope of a function, or of the module for the root of a tree."""
    scope = Scope(node)
    parameters = node.child_by_field_name("parameters") or node.child_by_field_name("parameter")
    if node.type in FUNCTIONS and parameters is not None:
        _read_parameters(scope, parameters)
    for child in walk(node, lambda each: each.type not in FUNCTIONS and each.type not in CLASSES):
        _read_definition(scope, child)
    nested = {
        name_of(each)
        for each in walk(node, lambda each: each.type not in FUNCTIONS)
        if each.type in FUNCTIONS
    }
    # What is only put into a variable doesn't make it one of this scope.
    bound = {name for name, given in scope.definitions.items() if not given or any(map(_binds, given))}
    names = {*scope.parameters, *bound}
    if node.type in FUNCTIONS:
        names |= (nested - {"", name_of(node)}) if node.type != "lambda" else set()
    scope.names = frozenset(names - {"self", "cls", "this"})
    return scope


def _binds(definition: Definition) -> bool:
    return definition.replaces or definition.part[-1:] == ("+=",)


def _read_parameters(scope: Scope, parameters: Node) -> None:
    if parameters.type == "identifier":
        scope.parameters.append(text_of(parameters))
        return
    for child in parameters.named_children:
        name = child
        if child.type in {"default_parameter", "typed_default_parameter"}:
            name = child.child_by_field_name("name") or child
        elif child.type in {"assignment_pattern", "required_parameter", "optional_parameter"}:
            name = child.child_by_field_name("left") or child.child_by_field_name("pattern") or child
        elif child.type in _WRAPPED_PARAMETERS:
            name = next(iter(child.named_children), child)
        if name.type == "identifier":
            scope.parameters.append(text_of(name))
        else:
            scope.parameters += [text_of(each) for each in walk(name) if each.type in _NAMES]


_NAMES = frozenset({"identifier", "shorthand_property_identifier_pattern"})
_WRAPPED_PARAMETERS = frozenset(
    {"typed_parameter", "list_splat_pattern", "dictionary_splat_pattern", "rest_pattern"}
)
_AUGMENTED = frozenset({"augmented_assignment", "augmented_assignment_expression"})
_ASSIGNMENTS = frozenset({"assignment", "assignment_expression"}) | _AUGMENTED
#: Methods that put their arguments into the object.
_MUTATORS = frozenset(
    {"append", "extend", "insert", "add", "update", "push", "unshift", "setdefault", "concat", "set"}
)


def _read_definition(scope: Scope, node: Node) -> None:
    """Note what an assignment, a loop, a `with` or an import of one name defines."""
    kind = node.type
    if kind in _ASSIGNMENTS:
        target, value = node.child_by_field_name("left"), node.child_by_field_name("right")
        if target is not None and value is not None:
            augmented = kind in _AUGMENTED
            _bind(scope, target, value, node, ("+=",) if augmented else (), replaces=not augmented)
    elif kind == "variable_declarator":
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is not None and value is not None:
            _bind(scope, name, value, node, ())
        elif name is not None and name.type == "identifier":
            scope.definitions.setdefault(text_of(name), [])
    elif kind in {"for_statement", "for_in_statement", "for_in_clause"}:
        target, value = node.child_by_field_name("left"), node.child_by_field_name("right")
        if target is not None and value is not None:
            _bind(scope, target, value, node, ("each",), end=value.end_byte)
    elif kind == "named_expression":
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is not None and value is not None:
            _bind(scope, name, value, node, ())
    elif kind == "as_pattern":
        target = node.child_by_field_name("alias")
        value = next(iter(node.named_children), None)
        name = target.named_children[0] if target is not None and target.named_children else None
        if name is not None and value is not None:
            _bind(scope, name, value, node, ("as",))
    elif kind == "expression_statement":
        _read_mutation(scope, node)


def _read_mutation(scope: Scope, statement: Node) -> None:
    """`parts.append(x)` adds to what `parts` is."""
    call = next(iter(statement.named_children), None)
    callee = call.child_by_field_name("function") if call is not None and call.type in CALLS else None
    if call is None or callee is None or callee.type not in {"attribute", "member_expression"}:
        return
    target = callee.child_by_field_name("object")
    arguments = call.child_by_field_name("arguments")
    method = text_of(callee).rsplit(".", 1)[-1]
    if target is not None and target.type == "identifier" and arguments is not None and method in _MUTATORS:
        definition = Definition(
            statement.end_byte, _block_of(statement), arguments, (method,), replaces=False
        )
        scope.definitions[text_of(target)].append(definition)


def _bind(
    scope: Scope,
    target: Node,
    value: Node,
    node: Node,
    part: tuple[str, ...],
    *,
    replaces: bool = True,
    end: int | None = None,
) -> None:
    last = node.end_byte if end is None else end
    if target.type in {"identifier", "shorthand_property_identifier_pattern"}:
        definition = Definition(last, _block_of(node), value, part, replaces)
        scope.definitions[text_of(target)].append(definition)
    elif target.type in {"subscript", "subscript_expression", "attribute", "member_expression"}:
        owner = target.child_by_field_name("value") or target.child_by_field_name("object")
        if owner is not None and owner.type == "identifier" and text_of(owner) not in {"self", "cls", "this"}:
            name = text_of(owner)
            if name in scope.parameters or name in scope.definitions:
                definition = Definition(last, _block_of(node), value, ("into",), replaces=False)
                scope.definitions[name].append(definition)
    elif target.type == "object_pattern":
        _bind_object(scope, target, value, node, part, last)
    else:
        for place, child in enumerate(target.named_children):
            if target.type in {"pattern_list", "tuple_pattern", "list_pattern", "array_pattern"}:
                _bind(scope, child, value, node, (*part, f"[{place}]"), end=last)


def _bind_object(
    scope: Scope, pattern: Node, value: Node, node: Node, part: tuple[str, ...], end: int
) -> None:
    """`const {a, b: c} = value`: a is `value.a`."""
    for child in pattern.named_children:
        if child.type == "shorthand_property_identifier_pattern":
            _bind(scope, child, value, node, (*part, ".", text_of(child)), end=end)
        elif child.type == "pair_pattern":
            key, name = child.child_by_field_name("key"), child.child_by_field_name("value")
            if key is not None and name is not None:
                _bind(scope, name, value, node, (*part, ".", text_of(key)), end=end)
        elif child.type == "object_assignment_pattern":
            name = child.child_by_field_name("left")
            if name is not None:
                _bind(scope, name, value, node, (*part, ".", text_of(name)), end=end)


def _block_of(node: Node) -> Node:
    return next((each for each in ancestors(node) if each.type in BLOCKS), node)
