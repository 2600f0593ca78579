"""The lines of a file that decide whether a flagged line is a vulnerability: a backward program slice.

A slice holds the flagged statement; the assignments that reach it, in its function, in its callers and in
helpers of the same file; the conditions that hold where it runs, with what happens where they don't; the
constants that it reads; and the heads of the functions and classes around it, with their decorators.
Everything else is left out, comments and docstrings too, and of lines what `slice_text` says. Real code of
sixty lines becomes ten to twenty.

Source: Mark Weiser, "Program slicing", IEEE Transactions on Software Engineering 10(4), 1984. This slice
follows names through one file; aliases, other files and what a callback gets aren't followed, so it can
miss a line, and a reader of it is told so by the marks where lines were left out.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from functools import cached_property

from tree_sitter import Node

from securetag.records import SliceLine
from securetag.scanning.identity.definitions import reaching
from securetag.scanning.identity.flow import File, class_around
from securetag.scanning.identity.guards import CHECKS
from securetag.scanning.identity.syntax import (
    BLOCKS,
    CALLS,
    CLASSES,
    COMMENTS,
    COMPOUND,
    FUNCTIONS,
    ancestors,
    body_of,
    contains,
    exits,
    functions_around,
    name_of,
    statement_of,
    text_of,
    walk,
)
from securetag.scanning.slice_parts import SELF, Parts
from securetag.scanning.slice_text import blank_comments, has_no_effect, list_unread, show_lines

__all__ = ["MAX_LINES", "SlicedFile"]

#: Lines of a slice, the flagged ones among them. Of those that don't fit, the ones go that are the most
#: steps away from the flagged statement. Of 70 places of `rules_dev` whose fix is in the same file, 20 lines
#: show the fix of 59, 40 lines that of 61; a window of the same 20 lines that of 58.
MAX_LINES = 20
#: Characters of a line that are kept: code that a tool wrote may be one line.
MAX_LINE_CHARS = 300
#: Lines of one statement; of a longer one its first lines and its last are kept.
MAX_STATEMENT_LINES = 8
#: Lines of a helper function that is kept whole; of a longer one what it returns is followed.
MAX_HELPER_LINES = 15
#: Steps from the flagged statement to a line.
MAX_STEPS = 8
#: Statements that one slice visits: a bound of its cost where code refers to itself in circles.
MAX_VISITS = 400
#: Call sites of a function, and assignments of an attribute, that are followed.
MAX_CALLERS, MAX_ASSIGNMENTS = 3, 2

_ASSIGNMENTS = frozenset(
    {"assignment", "assignment_expression", "field_definition", "public_field_definition"}
)
_TARGETS = ("left", "property", "name")
#: Calls that end a request raise too: `abort(400)`.
_RAISES = frozenset({"raise_statement", "throw_statement", *CALLS})
_HANDLERS = frozenset({"except_clause", "except_group_clause", "catch_clause"})


class SlicedFile:
    """One file, parsed once, whose flagged places are sliced one by one."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._attributes: dict[int, dict[str, list[Node]]] = {}
        self._parts: dict[int, Parts] = {}

    def slice(self, first_line: int, last_line: int, *, max_lines: int = MAX_LINES) -> list[SliceLine]:
        """Return the slice for the flagged lines, counted from 1, both inclusive.

        Empty where the file doesn't have these lines, they hold no code, or the grammar can't read what would
        be shown: code can't be told from comments there. A caller shows a window of lines instead.
        """
        flagged = _flagged_node(self._file.root, self._lines, first_line, last_line)
        if flagged is None:
            return []
        collected = _Slicer(self._file, self._attributes, self._parts)
        collected.run(flagged)
        lines = [
            SliceLine(number, text)
            for number in collected.chosen(max_lines)
            if (text := self._text(number)).strip()
        ]
        is_shown = any(first_line <= line.number <= last_line for line in lines)
        unread = list_unread(self._file.root)
        return lines if is_shown and unread.isdisjoint(line.number for line in lines) else []

    @cached_property
    def _lines(self) -> list[bytes]:
        """The file's lines, with comments blanked."""
        return blank_comments(self._file.content, self._file.root)

    @cached_property
    def _shown(self) -> list[bytes]:
        return show_lines(self._file.content, self._file.root)

    def _text(self, number: int) -> str:
        line = self._shown[number - 1] if number <= len(self._shown) else b""
        text = line[: 4 * MAX_LINE_CHARS].decode("utf-8", errors="replace").replace("\0", "\ufffd").rstrip()
        return text if len(text) <= MAX_LINE_CHARS else text[:MAX_LINE_CHARS] + " …"


class _Slicer:
    """Collects lines, each with the number of steps that lead to it."""

    def __init__(
        self, file: File, attributes: dict[int, dict[str, list[Node]]], parts: dict[int, Parts]
    ) -> None:
        """`attributes`: class → attribute → its assignments in the class, as far as they have been read.

        `parts`: node → what it reads and calls, and the statements of a block; the same.
        """
        self._file = file
        self._parts = parts
        #: Node → step at which what it depends on was followed.
        self._followed: dict[int, int] = {}
        #: Block → step → offset up to which its statements have been read for checks.
        self._checked: dict[int, dict[int, int]] = defaultdict(dict)
        self._steps: dict[int, int] = {}
        self._queue: deque[tuple[Node, int]] = deque()
        self._visited: set[tuple[int, int]] = set()
        self._heads: set[int] = set()
        #: Functions that a call of the slice led to: their parameters are that call's arguments.
        self._helpers: set[int] = set()
        self._attributes = attributes
        #: (scope, variable) that was followed, and those of statements that wait for one to be.
        self._variables: set[tuple[int, str]] = set()
        self._waiting: dict[tuple[int, str], list[tuple[Node, int]]] = defaultdict(list)

    def run(self, flagged: Node) -> None:
        """Follow everything that the flagged code depends on."""
        # What follows the flagged statement in its own functions doesn't decide anything.
        self._visited |= {(each.start_byte, each.end_byte) for each in functions_around(flagged)}
        self._statement(flagged, 0)
        visits = 0
        while self._queue and visits < MAX_VISITS:
            node, step = self._queue.popleft()
            visits += 1
            if step <= MAX_STEPS and step < self._followed.get(node.id, step + 1):
                self._followed[node.id] = step
                self._follow_names(node, step)
                self._follow_calls(node, step)

    def chosen(self, max_lines: int) -> list[int]:
        """Return the numbers of the `max_lines` lines that are nearest to the flagged statement."""
        nearest = sorted(self._steps, key=lambda number: (self._steps[number], -number))
        return sorted(nearest[:max_lines])

    # Lines

    def _add_lines(self, first: int, last: int, step: int) -> None:
        numbers = list(range(first, last + 1))
        if len(numbers) > MAX_STATEMENT_LINES:
            numbers = [*numbers[: MAX_STATEMENT_LINES - 1], numbers[-1]]
        for number in numbers:
            self._steps[number] = min(step, self._steps.get(number, step))

    def _add_head(self, node: Node, step: int) -> None:
        """Add a statement; of one that holds others, what stands before its block."""
        body = body_of(node)
        first, last = node.start_point.row + 1, node.end_point.row + 1
        if body is not None:
            # The brace or colon ends the head; a body on the head's line is part of it.
            opens = body.start_point.row + 1
            last = (
                opens
                if body.type != "block" or opens == first
                else max(first, _last_code_row(node, body) + 1)
            )
        self._add_lines(first, last, step)

    # What a piece of code depends on

    def _statement(self, node: Node, step: int) -> None:
        """Add the statement around a node, and follow what it reads and the conditions it runs under."""
        statement = statement_of(node)
        key = (statement.start_byte, statement.end_byte)
        if key in self._visited or step > MAX_STEPS:
            return
        self._visited.add(key)
        if statement.type in COMPOUND:
            self._add_head(statement, step)
        else:
            self._add_lines(statement.start_point.row + 1, statement.end_point.row + 1, step)
        if step == 0:
            self._add_lines(node.start_point.row + 1, node.end_point.row + 1, 0)
        self._queue.append((statement, step))
        self._follow_conditions(statement, step)

    def _follow_conditions(self, statement: Node, step: int) -> None:
        current = statement
        for parent in ancestors(statement):
            kind = parent.type
            if kind in BLOCKS:
                self._follow_checks(parent, current.start_byte, step + 1)
            elif kind in FUNCTIONS or kind in CLASSES:
                self._add_function_head(parent, step + 1)
            elif kind in COMPOUND and kind != "decorated_definition":
                self._add_condition(parent, current, step + 1)
            current = parent

    def _follow_checks(self, block: Node, end: int, step: int) -> None:
        """Follow the checks among the statements of a block before an offset, each once."""
        checked = self._checked[block.id]
        begin = max((last for done, last in checked.items() if done <= step), default=-1)
        if begin >= end:
            return
        checked[step] = max(end, checked.get(step, -1))
        parts = self._parts_of(block)
        for place in range(bisect_left(parts.starts, begin), bisect_left(parts.starts, end)):
            self._follow_check(parts.statements[place], step)

    def _parts_of(self, node: Node) -> Parts:
        if node.id not in self._parts:
            self._parts[node.id] = Parts(node)
        return self._parts[node.id]

    def _add_condition(self, statement: Node, child: Node, step: int) -> None:
        """Add the head of a statement around the code, and of the clauses that were passed over."""
        self._add_head(statement, step)
        for part in _condition_parts(statement):
            self._queue.append((part, step))
        if statement.type == "try_statement":
            for clause in statement.named_children:
                if clause.type in _HANDLERS and clause != child:
                    self._add_short(clause, step)

    def _follow_check(self, statement: Node, step: int, depth: int = 0) -> None:
        """Add a statement before the code that lets it run only on a condition."""
        if depth > 4 or has_no_effect(statement):
            return
        kind = statement.type
        if kind == "if_statement":
            if any(exits(branch) for branch in _branches(statement)):
                self._add_check(statement, step)
            else:
                self._add_if_followed(statement, _condition_parts(statement), step + 1)
        elif kind in {"assert_statement"}:
            self._statement(statement, step)
        elif kind in {"try_statement", "with_statement"}:
            body = statement.child_by_field_name("body")
            for inner in body.named_children if body is not None else ():
                self._follow_check(inner, step, depth + 1)
            # A conversion is a check: `try: int(x)` and `except ValueError: return`.
            lines = statement.end_point.row - statement.start_point.row
            if body is not None and lines < MAX_STATEMENT_LINES and any(map(exits, _handlers(statement))):
                self._add_if_followed(statement, body.named_children, step)
        elif kind == "expression_statement":
            call = _call_of(statement)
            callee = call.child_by_field_name("function") if call is not None else None
            if call is None or callee is None:
                return
            if self._functions_called(call) or CHECKS.search(text_of(callee).rsplit(".", 1)[-1]):
                self._statement(statement, step)

    def _add_check(self, statement: Node, step: int) -> None:
        """Add a check; of one that raises what catches that too, since it decides whether the check holds."""
        self._add_short(statement, step)
        if any(each.type in _RAISES for each in walk(statement, lambda inner: inner.type not in FUNCTIONS)):
            current = statement
            for parent in itertools.takewhile(
                lambda outer: outer.type not in FUNCTIONS, ancestors(statement)
            ):
                if parent.type == "try_statement" and current == parent.child_by_field_name("body"):
                    self._add_condition(parent, current, step)
                current = parent
        for part in (statement, *statement.children_by_field_name("alternative")):
            for condition in _condition_parts(part):
                self._queue.append((condition, step))

    def _add_if_followed(self, statement: Node, parts: Sequence[Node], step: int) -> None:
        """Add a check where parts of it read a variable that is followed, now or later."""
        for name in (name for part in parts for name in self._parts_of(part).names):
            scope = self._file.scope_of(name, text_of(name))
            if scope is None or scope.node == self._file.root:
                continue
            key = (scope.node.id, text_of(name))
            if key in self._variables:
                self._add_check(statement, step)
                return
            self._waiting[key].append((statement, step))

    def _add_short(self, statement: Node, step: int) -> None:
        """Add a compound statement with its block where that is short, else its head."""
        first, last = statement.start_point.row + 1, statement.end_point.row + 1
        if last - first < MAX_STATEMENT_LINES:
            self._add_lines(first, last, step)
        else:
            self._add_head(statement, step)

    def _add_function_head(self, node: Node, step: int) -> None:
        """Add the head of a function or class around the code, with decorators and what it is passed to."""
        if node.id in self._heads:
            return
        self._heads.add(node.id)
        self._add_head(node, step)
        parent = node.parent
        if parent is not None and parent.type == "decorated_definition":
            for decorator in parent.children:
                if decorator.type == "decorator":
                    self._add_lines(decorator.start_point.row + 1, decorator.end_point.row + 1, step)
                    name = text_of(decorator).lstrip("@ ").partition("(")[0].strip()
                    functions = self._file.functions(name)
                    if len(functions) == 1 and not contains(functions[0], node):
                        self._add_helper(functions[0], step + 1)
        elif node.type in {"arrow_function", "function_expression", "lambda", "generator_function"}:
            # `app.get("/x", requireLogin, (req, res) => {`: the statement says what the function is for.
            outer = statement_of(node)
            self._add_lines(outer.start_point.row + 1, node.start_point.row + 1, step)

    def _follow_names(self, node: Node, step: int) -> None:
        """Follow the variables of an expression to where they get their values."""
        parts = self._parts_of(node)
        for name in parts.names:
            text = text_of(name)
            scope = self._file.scope_of(name, text)
            if scope is None:
                continue
            if scope.node == self._file.root and functions_around(name):
                for constant in scope.definitions.get(text, [])[-MAX_ASSIGNMENTS:]:
                    self._statement(constant.value, step + 1)
                continue
            key = (scope.node.id, text)
            if key not in self._variables:
                self._variables.add(key)
                for check, check_step in self._waiting.pop(key, ()):
                    self._add_check(check, check_step)
            for definition in reaching(scope, name, text, self._file.put_inside(name, text, scope)):
                if definition is not None:
                    self._statement(definition.value, step + 1)
                else:
                    self._follow_callers(scope.node, text, step + 1)
        for attribute in parts.attributes:
            self._follow_attribute(attribute, step + 1)

    def _follow_callers(self, function: Node, parameter: str, step: int) -> None:
        """Follow a parameter to the calls of its function in this file."""
        if function.type not in FUNCTIONS:
            return
        self._add_function_head(function, step)
        if function.id in self._helpers or parameter not in self._file.scope(function).parameters:
            return
        name = function.child_by_field_name("name")
        calls = self._file.calls(text_of(name)) if name is not None else []
        around = class_around(function)
        if around is not None and name is not None:
            calls = [*calls, *self._file.calls_on(name_of(around), text_of(name))]
        for call in calls[:MAX_CALLERS]:
            if not contains(function, call):
                self._statement(call, step + 1)

    def _follow_attribute(self, attribute: Node, step: int) -> None:
        """Follow `self.name` to its assignments in the class."""
        around = class_around(attribute)
        if around is None:
            return
        if around.id not in self._attributes:
            self._attributes[around.id] = _read_attributes(around)
        name = text_of(attribute).rsplit(".", 1)[-1]
        for assignment in self._attributes[around.id].get(name, [])[:MAX_ASSIGNMENTS]:
            if not contains(assignment, attribute):
                self._statement(assignment, step)

    def _follow_calls(self, node: Node, step: int) -> None:
        """Add the helper functions of this file that an expression calls."""
        for call in self._parts_of(node).calls:
            for function in self._functions_called(call):
                self._add_helper(function, step + 1)

    def _add_helper(self, function: Node, step: int) -> None:
        key = (function.start_byte, function.end_byte)
        if key in self._visited or step > MAX_STEPS:
            return
        self._visited.add(key)
        self._helpers.add(function.id)
        self._add_function_head(function, step)
        body = function.child_by_field_name("body")
        if body is None:
            return
        if body.type not in BLOCKS:
            self._statement(body, step)
            return
        statements = [
            each for each in body.named_children if each.type not in COMMENTS and not has_no_effect(each)
        ]
        if not statements:
            return
        if statements[-1].end_point.row - statements[0].start_point.row < MAX_HELPER_LINES:
            for statement in statements:
                for number in range(statement.start_point.row + 1, statement.end_point.row + 2):
                    self._steps[number] = min(step, self._steps.get(number, step))
                self._queue.append((statement, step))
            return
        for inner in walk(body, lambda each: each.type not in FUNCTIONS):
            if inner.type == "return_statement":
                self._statement(inner, step)

    def _functions_called(self, call: Node) -> list[Node]:
        """Return the function of this file that a call runs, if it is only one."""
        callee = call.child_by_field_name("function")
        if callee is None:
            return []
        owner, _, name = text_of(callee).rpartition(".")
        if owner and owner not in SELF:
            return []
        functions = self._file.functions(name)
        if owner:
            around = class_around(call)
            functions = [each for each in functions if class_around(each) == around]
        return functions if len(functions) == 1 and not contains(functions[0], call) else []


def _flagged_node(root: Node, lines: Sequence[bytes], first_line: int, last_line: int) -> Node | None:
    """Return the smallest node that holds the code of the flagged lines."""
    rows = [row for row in range(max(first_line, 1) - 1, min(last_line, len(lines))) if lines[row].strip()]
    if not rows:
        return None
    first, last = lines[rows[0]], lines[rows[-1]]
    start = (rows[0], len(first) - len(first.lstrip()))
    node = root.descendant_for_point_range(start, (rows[-1], len(last.rstrip())))
    if node is None or node.type in BLOCKS or node == root:
        # Several statements: the first of them.
        node = root.descendant_for_point_range(start, (start[0], start[1] + 1))
    return node if node != root else None


def _read_attributes(around: Node) -> dict[str, list[Node]]:
    """Return attribute → assignments to `self.attribute`, `this.attribute` or in the class's own body."""
    assignments: dict[str, list[Node]] = defaultdict(list)
    outer = len(functions_around(around))
    for node in walk(around):
        if node.type not in _ASSIGNMENTS:
            continue
        target = next((child for field in _TARGETS if (child := node.child_by_field_name(field))), None)
        owner, _, name = text_of(target).rpartition(".") if target is not None else ("", "", "")
        if owner in SELF or (not owner and len(functions_around(node)) == outer):
            assignments[name].append(node)
    return assignments


def _last_code_row(node: Node, body: Node) -> int:
    """Return the row of the last token before a Python block."""
    before = body.prev_sibling
    while before is not None and before.type in COMMENTS:
        before = before.prev_sibling
    return before.end_point.row if before is not None else node.start_point.row


def _condition_parts(statement: Node) -> list[Node]:
    """Return what a statement's head reads: its condition, what it loops over, its subject."""
    parts = [
        statement.child_by_field_name(field)
        for field in ("condition", "right", "subject", "value", "guard")
        if statement.type != "decorated_definition"
    ]
    if statement.type == "with_statement":
        parts += [child for child in statement.named_children if child.type == "with_clause"]
    return [part for part in parts if part is not None]


def _branches(statement: Node) -> Iterator[Node]:
    """The blocks of an `if` and of its clauses."""
    for part in (statement, *statement.children_by_field_name("alternative")):
        body = part.child_by_field_name("consequence") or part.child_by_field_name("body")
        if body is not None:
            yield body
        elif part.type == "else_clause":
            yield part


def _handlers(statement: Node) -> Iterator[Node]:
    """The blocks that run where a `try` fails."""
    for clause in statement.named_children:
        if clause.type in _HANDLERS:
            yield from (child for child in clause.named_children if child.type in BLOCKS)


def _call_of(statement: Node) -> Node | None:
    """Return the call that an expression statement is."""
    node = next((child for child in statement.named_children if child.type not in COMMENTS), None)
    if node is not None and node.type in {"await", "await_expression"} and node.named_children:
        node = node.named_children[0]
    return node if node is not None and node.type in CALLS else None
