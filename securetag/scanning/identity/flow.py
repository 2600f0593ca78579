"""Where the values of a function's variables come from: definitions before a use, callers in the file.

Enough to see through variables that name an expression and functions that were extracted. Aliases and fields
are not followed, nor is code of other files but the one that a file is joined with.
"""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from tree_sitter import Node, Tree

from securetag.scanning.identity.definitions import Definition, Scope, reaching, read_scope
from securetag.scanning.identity.syntax import (
    CALLS,
    CLASSES,
    COMMENTS,
    FUNCTIONS,
    ancestors,
    contains,
    functions_around,
    name_of,
    text_of,
    walk,
)
from securetag.scanning.identity.terms import (
    MAX_RESOLVED,
    MAX_TOKENS,
    Local,
    anonymous,
    digest,
    tokens_of,
)

#: What stands before the name of a function that is called by its name alone, or on the object itself.
_BARE = rb"(?<![\w.])(?:(?:self|cls|this)\.)?"
#: Calls of one name that are read; with more of them parameters stay unknown.
MAX_CALLS = 50
#: Bytes of a constant at module level that is written out where it is used.
MAX_CONSTANT = 2_000
#: Definitions that one flow follows in all: where each variable has several, their number is a power.
MAX_FOLLOWED = 500
_LITERAL_CONSTANTS = frozenset(
    {
        "string",
        "integer",
        "float",
        "list",
        "tuple",
        "set",
        "dictionary",
        "array",
        "object",
        "number",
        "regex",
        "true",
        "false",
        "none",
        "concatenated_string",
        "call",
        "new_expression",
        "call_expression",
    }
)


class File:
    """One file's scopes and calls, read when they are asked for."""

    def __init__(self, tree: Tree, content: bytes) -> None:
        self.root = tree.root_node
        self.content = content
        self._scopes: dict[int, Scope] = {}
        self._calls: dict[str, list[Node]] = {}
        self._functions: dict[str, list[Node]] | None = None
        self._bodies: dict[int, list[str]] = {}
        self._around: dict[int, list[Node]] = {}
        self._names: dict[int, frozenset[str]] = {}
        self._other: File | None = None
        self._imported: Mapping[str, str] = {}

    def joined_with(self, other: File, imported: Mapping[str, str]) -> File:
        """Return this file with the names that it imports from another one: its own → the other's."""
        joined = copy.copy(self)
        joined._other, joined._imported = other, imported
        return joined

    def origin_of(self, name: str) -> tuple[File, str]:
        """Return the file that defines a name of the module, and what it is called there."""
        if self._other is not None and name in self._imported:
            return self._other, self._imported[name]
        return self, name

    def scope(self, function: Node | None) -> Scope:
        """Return the scope of a function; of the module for None."""
        node = function if function is not None else self.root
        if node.id not in self._scopes:
            self._scopes[node.id] = read_scope(node)
        return self._scopes[node.id]

    def functions(self, name: str) -> list[Node]:
        """Return the functions of the file that have this name."""
        if self._functions is None:
            self._functions = defaultdict(list)
            for node in walk(self.root):
                if node.type in FUNCTIONS and (own_name := name_of(node)):
                    self._functions[own_name].append(node)
        return self._functions.get(name, [])

    def calls(self, name: str) -> list[Node]:
        """Return the calls of `name(…)`, `self.name(…)` and `this.name(…)`."""
        if name not in self._calls:
            self._calls[name] = self._find_calls(name, _BARE) if name else []
        return self._calls[name]

    def calls_on(self, class_name: str, method: str) -> list[Node]:
        """Return the calls of a method on its class or on a new object of it.

        `Class.method(…)`, `Class(…).method(…)`, and `name.method(…)` where the name was given `Class(…)`.
        """
        if not class_name or not method:
            return []
        key = f"{class_name}.{method}"
        if key not in self._calls:
            calls = self._find_calls(method, rb"\.\s*")
            self._calls[key] = [call for call in calls if self._is_on(call, class_name)]
        return self._calls[key]

    def _is_on(self, call: Node, class_name: str) -> bool:
        """Is a method called on the class or on a new object of it?"""
        callee = call.child_by_field_name("function")
        owner = callee.child_by_field_name("object") if callee is not None else None
        if owner is not None and owner.type == "identifier" and text_of(owner) != class_name:
            scope = self.scope_of(owner, text_of(owner))
            values = reaching(scope, owner, text_of(owner)) if scope is not None else []
            owner = values[0].value if len(values) == 1 and values[0] is not None else None
        if owner is None:
            return False
        made = owner.child_by_field_name("function") or owner.child_by_field_name("constructor")
        return text_of(made if made is not None else owner) == class_name

    def body(self, function: Node) -> list[str]:
        """Return the tokens of a function's body, its variables all equal."""
        if function.id not in self._bodies:
            body = function.child_by_field_name("body") or function
            names = self.names_at(body)
            self._bodies[function.id] = anonymous(tokens_of(body, names))
        return self._bodies[function.id]

    def names_at(self, node: Node) -> frozenset[str]:
        """Return the local names that code at `node` can mean."""
        functions = self._functions_at(node)
        if not functions:
            return self.scope(None).names
        innermost = functions[0].id
        if innermost not in self._names:
            names = (self.scope(function).names for function in functions)
            self._names[innermost] = frozenset().union(*names)
        return self._names[innermost]

    def scope_of(self, node: Node, name: str) -> Scope | None:
        """Return the innermost scope in which the name is a variable."""
        for function in self._functions_at(node):
            scope = self.scope(function)
            if name in scope.names:
                return scope
        module = self.scope(None)
        return module if name in module.names else None

    def put_inside(self, node: Node, name: str, scope: Scope) -> list[Definition]:
        """Return what the functions around a node, within a scope that has the variable, put into it."""
        definitions: list[Definition] = []
        for function in self._functions_at(node):
            inner = self.scope(function)
            if inner is scope:
                break
            definitions += inner.definitions.get(name, ())
        return definitions

    def _functions_at(self, node: Node) -> list[Node]:
        """Return the node itself, where it is a function, and the functions around it, innermost first."""
        if node.id not in self._around:
            self._around[node.id] = [each for each in (node, *ancestors(node)) if each.type in FUNCTIONS]
        return self._around[node.id]

    def _find_calls(self, name: str, before: bytes) -> list[Node]:
        pattern = re.compile(before + rb"(" + re.escape(name.encode()) + rb")\s*\(")
        calls: list[Node] = []
        for match in pattern.finditer(self.content):
            node = self.root.descendant_for_byte_range(match.start(1), match.end(1))
            for parent in ancestors(node) if node is not None else ():
                if parent.type in CALLS:
                    callee = parent.child_by_field_name("function")
                    if callee is not None and callee.end_byte == match.end(1):
                        calls.append(parent)
                    break
                if parent.type not in {"attribute", "member_expression"}:
                    break
            if len(calls) > MAX_CALLS:
                break
        return calls


def class_around(node: Node) -> Node | None:
    """Return the class that a node is in."""
    return next((each for each in ancestors(node) if each.type in CLASSES), None)


@dataclass(frozen=True)
class CalledFunction:
    """A function, and the file that it is in."""

    file: File
    node: Node


def _is_visible(function: Node, call: Node) -> bool:
    """Is the function at the module's level, or in a function that the call is in too?"""
    around = functions_around(function)
    return not around or contains(around[0], call)


class Flow:
    """Expressions of one function with their variables followed to where they come from."""

    def __init__(
        self,
        file: File,
        function: Node | None,
        arguments: Mapping[str, list[str]] | None = None,
        outer: dict[str, str] | None = None,
        *,
        is_own: bool = False,
    ) -> None:
        """`outer` collects names that are followed out of the function → digest; `is_own`: none is."""
        self._file = file
        self._outer = outer if outer is not None else {}
        self._is_own = is_own
        self._function = function
        #: Counts what this flow and those within it follow; empty when there have been enough.
        self._followed = iter(range(MAX_FOLLOWED))
        self._arguments = arguments or {}
        self._active: frozenset[tuple[int, str]] = frozenset()
        self._depth = 0

    def expand(self, node: Node) -> list[str]:
        """Return an expression's tokens, with what its variables stand for."""
        return tokens_of(node, self._file.names_at(node), self._resolve)

    def sole_definition(self, name: Node) -> Node | None:
        """Return the expression that a variable names, if it can be but that one."""
        scope = self._file.scope_of(name, text_of(name))
        definitions = reaching(scope, name, text_of(name)) if scope is not None else []
        if len(definitions) == 1 and definitions[0] is not None and not definitions[0].part:
            key = (definitions[0].value.id, text_of(name))
            return None if key in self._active else definitions[0].value
        return None

    def function_called(self, call: Node) -> CalledFunction | None:
        """Return the function that is called if it is the only one, of this file or of the one joined."""
        callee = call.child_by_field_name("function")
        if callee is None or self._depth > 2 or self._is_own:
            return None
        text = text_of(callee)
        name = re.fullmatch(r"(?:(?:self|cls|this)\.)?([A-Za-z_$][\w$]*)", text)
        if name is None:
            return None
        file, original = self._file.origin_of(text)
        functions = file.functions(original if text == name[1] else name[1])
        around = class_around(call)
        if text != name[1] and around is not None:
            functions = [each for each in functions if class_around(each) == around]
        if len(functions) > 1:
            functions = [each for each in functions if _is_visible(each, call)]
        if len(functions) != 1 or (file is self._file and contains(functions[0], call)):
            return None
        function = self._function if file is self._file else None
        if function is None or not contains(function, functions[0]):
            self._outer[text] = digest(file.body(functions[0]))
        return CalledFunction(file, functions[0])

    def called(self, call: Node, function: CalledFunction) -> Flow | None:
        """Return the flow inside a function, whose parameters are this call's arguments."""
        arguments = self.arguments_of(call, function.file, function.node)
        if arguments is None or self._depth > 2:
            return None
        inner = self._within(function.file, function.node, arguments)
        inner._depth += 1
        inner._is_own = False
        return inner

    def _within(self, file: File, function: Node | None, arguments: Mapping[str, list[str]]) -> Flow:
        """Return the flow of other code that this one follows."""
        inner = copy.copy(self)
        inner._file, inner._function, inner._arguments = file, function, arguments
        return inner

    def arguments_of(self, call: Node, file: File, function: Node) -> dict[str, list[str]] | None:
        """Return parameter → tokens of its argument; None where that can't be told.

        `file` is the one that the function is in.
        """
        nodes = call.child_by_field_name("arguments")
        if nodes is None:
            return None
        callee = call.child_by_field_name("function")
        parameters = list(file.scope(function).parameters)
        if callee is not None and callee.type != "identifier" and parameters[:1] in (["self"], ["cls"]):
            parameters = parameters[1:]
        result: dict[str, list[str]] = {}
        position = 0
        for node in nodes.named_children:
            if node.type in COMMENTS:
                continue
            if node.type in {"list_splat", "dictionary_splat", "spread_element"}:
                return None
            name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
            if node.type == "keyword_argument" and name is not None and value is not None:
                result[text_of(name)] = self.expand(value)
            elif position < len(parameters):
                result[parameters[position]] = self.expand(node)
                position += 1
        return result

    def _resolve(self, node: Node, name: str) -> list[str] | None:
        scope = self._file.scope_of(node, name)
        if len(self._active) > MAX_RESOLVED:
            return None
        if scope is None or (scope.node == self._file.root and functions_around(node)):
            return self._constant(name)
        origins = []
        for definition in reaching(scope, node, name, self._file.put_inside(node, name, scope)):
            if definition is None:
                if self._function is not None and scope.node == self._function and name in self._arguments:
                    origins.append(self._arguments[name])
                else:
                    origins.append([Local(name)])
                continue
            key = (definition.value.id, name)
            if key in self._active:
                origins.append([name])
                continue
            if next(self._followed, None) is None:
                return None
            inner = copy.copy(self)
            inner._active = self._active | {key}
            origins.append([*inner.expand(definition.value), *definition.part])
        if not origins or sum(map(len, origins)) > MAX_TOKENS:
            return None
        if len(origins) == 1:
            return origins[0]
        return ["either", *(token for origin in origins for token in [*origin, "|"])]

    def _constant(self, name: str) -> list[str] | None:
        """A name at module level: its value where that is constant, else the name as it is."""
        file, original = self._file.origin_of(name)
        definitions = file.scope(None).definitions.get(original, [])
        if len(definitions) == 1 and not definitions[0].part and not self._is_own:
            value = definitions[0].value
            key = (value.id, original)
            if (
                value.type in _LITERAL_CONSTANTS
                and value.end_byte - value.start_byte <= MAX_CONSTANT
                and key not in self._active
            ):
                inner = self._within(file, None, {})
                inner._active = self._active | {key}
                self._outer[name] = digest(tokens_of(value, frozenset()))
                return inner.expand(value)
        return [name]
