"""Where the values of a function's variables come from: definitions before a use, callers in the file.

Enough to see through variables that name an expression and functions that were extracted. Aliases, fields
and code of other files are not followed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tree_sitter import Node, Tree

from securetag.scanning.identity.syntax import (
    BLOCKS,
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
from securetag.scanning.identity.terms import MAX_RESOLVED, MAX_TOKENS, Local, anonymous, tokens_of

#: Call sites of a function that are read; with more of them its parameters stay unknown.
MAX_CALLERS = 3
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

    def scope(self, function: Node | None) -> Scope:
        """Return the scope of a function; of the module for None."""
        node = function if function is not None else self.root
        if node.id not in self._scopes:
            self._scopes[node.id] = _read_scope(node)
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
            self._calls[name] = list(self._find_calls(name)) if name else []
        return self._calls[name]

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

    def _functions_at(self, node: Node) -> list[Node]:
        """Return the node itself, where it is a function, and the functions around it, innermost first."""
        if node.id not in self._around:
            self._around[node.id] = [each for each in (node, *ancestors(node)) if each.type in FUNCTIONS]
        return self._around[node.id]

    def _find_calls(self, name: str) -> list[Node]:
        pattern = re.compile(rb"(?<![\w.])(?:(?:self|cls|this)\.)?(" + re.escape(name.encode()) + rb")\s*\(")
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
            if len(calls) > MAX_CALLERS:
                break
        return calls


def class_around(node: Node) -> Node | None:
    """Return the class that a node is in."""
    return next((each for each in ancestors(node) if each.type in CLASSES), None)


class Flow:
    """Expressions of one function with their variables followed to where they come from."""

    def __init__(
        self,
        file: File,
        function: Node | None,
        arguments: Mapping[str, list[str]] | None = None,
        active: frozenset[tuple[int, str]] = frozenset(),
        depth: int = 0,
        followed: Iterator[int] | None = None,
        outer: set[str] | None = None,
        *,
        is_own: bool = False,
    ) -> None:
        """`outer` collects the names that are followed out of the function; `is_own`: none is."""
        self._file = file
        self._outer = outer if outer is not None else set()
        self._is_own = is_own
        self._function = function
        #: Counts what this flow and those within it follow; empty when there have been enough.
        self._followed = followed if followed is not None else iter(range(MAX_FOLLOWED))
        self._arguments = arguments or {}
        self._active = active
        self._depth = depth

    def expand(self, node: Node) -> list[str]:
        """Return an expression's tokens, with what its variables stand for."""
        return tokens_of(node, self._file.names_at(node), self._resolve)

    def body_tokens(self, function: Node) -> list[str]:
        """Return the tokens of a function's body."""
        return self._file.body(function)

    def sole_definition(self, name: Node) -> Node | None:
        """Return the expression that a variable names, if it can be but that one."""
        scope = self._file.scope_of(name, text_of(name))
        definitions = reaching(scope, name, text_of(name)) if scope is not None else []
        if len(definitions) == 1 and definitions[0] is not None and not definitions[0].part:
            key = (definitions[0].value.id, text_of(name))
            return None if key in self._active else definitions[0].value
        return None

    def function_called(self, call: Node) -> Node | None:
        """Return the function of this file that is called, if it is only one."""
        callee = call.child_by_field_name("function")
        if callee is None or self._depth > 2 or self._is_own:
            return None
        text = text_of(callee)
        name = re.fullmatch(r"(?:(?:self|cls|this)\.)?([A-Za-z_$][\w$]*)", text)
        functions = self._file.functions(name[1]) if name else []
        around = class_around(call)
        if name is not None and text != name[1] and around is not None:
            functions = [each for each in functions if class_around(each) == around]
        if len(functions) != 1 or contains(functions[0], call):
            return None
        if self._function is None or not contains(self._function, functions[0]):
            self._outer.add(text)
        return functions[0]

    def called(self, call: Node, function: Node) -> Flow | None:
        """Return the flow inside a function, whose parameters are this call's arguments."""
        arguments = self.arguments_of(call, function)
        if arguments is None or self._depth > 2:
            return None
        return Flow(
            self._file, function, arguments, self._active, self._depth + 1, self._followed, self._outer
        )

    def arguments_of(self, call: Node, function: Node) -> dict[str, list[str]] | None:
        """Return parameter → tokens of its argument; None where that can't be told."""
        nodes = call.child_by_field_name("arguments")
        if nodes is None:
            return None
        callee = call.child_by_field_name("function")
        parameters = list(self._file.scope(function).parameters)
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
        if scope is None or len(self._active) > MAX_RESOLVED:
            return None
        if scope.node == self._file.root and functions_around(node):
            return self._constant(scope, name)
        origins = []
        for definition in reaching(scope, node, name):
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
            active = self._active | {key}
            inner = Flow(
                self._file,
                self._function,
                self._arguments,
                active,
                self._depth,
                self._followed,
                self._outer,
                is_own=self._is_own,
            )
            origins.append([*inner.expand(definition.value), *definition.part])
        if not origins or sum(map(len, origins)) > MAX_TOKENS:
            return None
        if len(origins) == 1:
            return origins[0]
        return ["either", *(token for origin in origins for token in [*origin, "|"])]

    def _constant(self, module: Scope, name: str) -> list[str] | None:
        """A name at module level: its value where that is constant, else the name as it is."""
        definitions = module.definitions.get(name, [])
        if len(definitions) == 1 and not definitions[0].part and not self._is_own:
            value = definitions[0].value
            key = (value.id, name)
            if (
                value.type in _LITERAL_CONSTANTS
                and value.end_byte - value.start_byte <= MAX_CONSTANT
                and key not in self._active
            ):
                self._outer.add(name)
                active = self._active | {key}
                inner = Flow(self._file, None, {}, active, self._depth, self._followed, self._outer)
                return inner.expand(value)
        return [name]


def reaching(scope: Scope, use: Node, name: str) -> list[Definition | None]:
    """Return the definitions that a use can see, newest first; None stands for the parameter."""
    result: list[Definition | None] = []
    for definition in sorted(scope.definitions.get(name, []), key=lambda each: -each.end):
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


def _read_scope(node: Node) -> Scope:
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
    names = {*scope.parameters, *scope.definitions}
    if node.type in FUNCTIONS:
        names |= (nested - {"", name_of(node)}) if node.type != "lambda" else set()
    scope.names = frozenset(names - {"self", "cls", "this"})
    return scope


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
