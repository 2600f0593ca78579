"""Conditions that hold wherever a piece of code runs: what a guard is, whatever form it has.

`if bad: raise` before the code, `if good:` around it, a check in a variable or in a function of the same
file, and a decorator all come out as the same facts. A fact is a list of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tree_sitter import Node

from securetag.scanning.identity.flow import Flow
from securetag.scanning.identity.syntax import (
    BLOCKS,
    CALLS,
    COMMENTS,
    FUNCTIONS,
    ancestors,
    exits,
    is_docstring,
    text_of,
)
from securetag.scanning.identity.terms import digest

#: Conditions of one place that are kept.
MAX_FACTS = 64
#: Conditions inside conditions, and functions that check for a function.
MAX_NESTED = 8
#: Names of functions and decorators that check something.
CHECKS = re.compile(
    r"check|valid|assert|requir|ensure|verif|authori|authent|permi|allow|sanit|guard|protect|abort|deny"
    r"|csrf|login|logged|restrict|forbid|secur|confirm|must|enforce|clean|escape|admin|owner|access|limit",
    re.IGNORECASE,
)

Fact = list[str]
_NEGATED = {
    "==": "!=",
    "!=": "==",
    "<": ">=",
    ">=": "<",
    ">": "<=",
    "<=": ">",
    "in": "not in",
    "not in": "in",
}
_NEGATED |= {"is": "is not", "is not": "is"}
_LOOSE = {"===": "==", "!==": "!="}
_MIRRORED = {">": "<", ">=": "<="}
_BINARY = {"boolean_operator", "binary_expression"}
_COMPARISONS = {"comparison_operator", "binary_expression"}
_SYMMETRIC = {"==", "!=", "is", "is not"}


def facts_at(node: Node, flow: Flow) -> list[Fact]:
    """Return the conditions that hold where `node` runs, in its function and those around it."""
    facts: list[Fact] = []
    current = node
    for parent in ancestors(node):
        facts += _of_parent(current, parent, flow)
        if parent.type in BLOCKS:
            facts += _of_earlier(current, parent, flow)
        if parent.type == "decorated_definition":
            facts += _of_decorators(parent, flow)
        if current.type in FUNCTIONS and parent.type == "arguments":
            facts += _of_middleware(current, parent, flow)
        if len(facts) > MAX_FACTS:
            break
        current = parent
    return facts[:MAX_FACTS]


def _of_parent(child: Node, parent: Node, flow: Flow) -> list[Fact]:
    """What the statement or expression around `child` says."""
    kind = parent.type
    condition = parent.child_by_field_name("condition")
    if kind in {"if_statement", "elif_clause"} and condition is not None:
        if child == parent.child_by_field_name("consequence"):
            return facts_of(condition, True, flow) + (
                _of_skipped(parent, flow) if kind == "elif_clause" else []
            )
        if child.type == "else_clause":
            return [*facts_of(condition, False, flow), *_of_clauses(parent, child, flow)]
    elif kind == "while_statement" and condition is not None and child == parent.child_by_field_name("body"):
        return facts_of(condition, True, flow)
    elif kind in {"conditional_expression", "ternary_expression"}:
        return _of_choice(child, parent, flow)
    elif kind in {"boolean_operator", "binary_expression"} and child == parent.child_by_field_name("right"):
        left, operator = parent.child_by_field_name("left"), _operator(parent)
        if left is not None and operator in {"and", "&&"}:
            return facts_of(left, True, flow)
        if left is not None and operator in {"or", "||"}:
            return facts_of(left, False, flow)
    elif kind in {"switch_case", "case_clause"} and child.type in {*BLOCKS, "expression_statement"}:
        subject = next(
            (each for each in ancestors(parent) if "switch" in each.type or "match" in each.type), None
        )
        value = parent.child_by_field_name("value") or next(iter(parent.named_children), None)
        if subject is not None and value is not None:
            head = subject.child_by_field_name("value") or subject.child_by_field_name("subject")
            return [["case", *(flow.expand(head) if head else []), *flow.expand(value)]]
    return []


def _of_choice(child: Node, parent: Node, flow: Flow) -> list[Fact]:
    if parent.type == "ternary_expression":
        parts = [parent.child_by_field_name(name) for name in ("consequence", "condition", "alternative")]
    else:
        parts = [part for part in parent.named_children if part.type not in COMMENTS]
    if len(parts) == 3 and parts[1] is not None and child != parts[1]:
        return facts_of(parts[1], child == parts[0], flow)
    return []


def _of_skipped(clause: Node, flow: Flow) -> list[Fact]:
    """Of an `elif`: the conditions before it don't hold."""
    parent = clause.parent
    condition = parent.child_by_field_name("condition") if parent is not None else None
    if parent is None or condition is None:
        return []
    return [*facts_of(condition, False, flow), *_of_clauses(parent, clause, flow)]


def _of_clauses(statement: Node, until: Node, flow: Flow) -> list[Fact]:
    """The conditions of the `elif` clauses before `until` don't hold."""
    facts: list[Fact] = []
    for clause in statement.children_by_field_name("alternative"):
        if clause == until:
            break
        condition = clause.child_by_field_name("condition")
        if condition is not None:
            facts += facts_of(condition, False, flow)
    return facts


def _of_earlier(child: Node, block: Node, flow: Flow) -> list[Fact]:
    """What the statements before `child` make sure of."""
    facts: list[Fact] = []
    for statement in block.named_children:
        if statement.start_byte >= child.start_byte:
            break
        facts += ensured_by(statement, flow)
    return facts


def ensured_by(statement: Node, flow: Flow, depth: int = 0) -> list[Fact]:
    """Return what holds after a statement because it would have left the function otherwise."""
    kind = statement.type
    if depth > MAX_NESTED:
        return []
    if kind == "if_statement":
        return _of_if(statement, flow)
    if kind == "assert_statement":
        condition = next(iter(statement.named_children), None)
        return facts_of(condition, True, flow) if condition is not None else []
    if kind in {"try_statement", "with_statement"}:
        body = statement.child_by_field_name("body")
        inner = body.named_children if body is not None else []
        if kind == "try_statement" and not all(_handler_exits(part) for part in statement.named_children):
            return []
        return [fact for each in inner for fact in ensured_by(each, flow, depth + 1)]
    if kind == "expression_statement":
        call = next((child for child in statement.named_children if child.type not in COMMENTS), None)
        if call is not None and call.type in {"await_expression", "await"} and call.named_children:
            call = call.named_children[0]
        if call is not None and call.type in CALLS:
            return _of_check(call, flow, depth)
    return []


def _of_if(statement: Node, flow: Flow) -> list[Fact]:
    condition, body = (statement.child_by_field_name(name) for name in ("condition", "consequence"))
    if condition is None:
        return []
    clauses = statement.children_by_field_name("alternative")
    facts: list[Fact] = []
    if exits(body):
        facts += facts_of(condition, False, flow)
        for clause in clauses:
            test = clause.child_by_field_name("condition")
            if test is None or not exits(clause.child_by_field_name("consequence")):
                break
            facts += facts_of(test, False, flow)
    elif len(clauses) == 1 and clauses[0].type == "else_clause" and exits(clauses[0]):
        facts += facts_of(condition, True, flow)
    return facts


def _handler_exits(part: Node) -> bool:
    if part.type not in {"except_clause", "catch_clause", "except_group_clause"}:
        return True
    body = part.child_by_field_name("body") or next(
        (child for child in part.named_children if child.type in BLOCKS), None
    )
    return exits(body)


def _of_check(call: Node, flow: Flow, depth: int) -> list[Fact]:
    """A call on its own line is a check if it is called like one, or raises in this file."""
    callee = call.child_by_field_name("function")
    if callee is None:
        return []
    target = flow.function_called(call)
    if target is not None:
        body = target.node.child_by_field_name("body")
        inner = flow.called(call, target)
        if body is not None and inner is not None:
            return [fact for each in body.named_children for fact in ensured_by(each, inner, depth + 1)]
    if CHECKS.search(text_of(callee).rsplit(".", 1)[-1]):
        return [["check", *flow.expand(call)]]
    return []


def _of_decorators(definition: Node, flow: Flow) -> list[Fact]:
    return [
        ["decorator", *flow.expand(child)]
        for child in definition.children
        if child.type == "decorator" and CHECKS.search(text_of(child))
    ]


def _of_middleware(function: Node, arguments: Node, flow: Flow) -> list[Fact]:
    """`app.get("/x", requireLogin, handler)`: what runs before the handler."""
    return [
        ["middleware", *flow.expand(child)]
        for child in arguments.named_children
        if child.end_byte <= function.start_byte and child.type in {"identifier", "member_expression", *CALLS}
    ]


def facts_of(condition: Node, holds: bool, flow: Flow, depth: int = 0) -> list[Fact]:
    """Return what is true where `condition` is true, or false, as facts that all hold."""
    kind = condition.type
    if depth > MAX_NESTED:
        return [[str(holds), *flow.expand(condition)]]
    inner = _unwrapped(condition)
    if inner is not None:
        return facts_of(inner, holds, flow, depth + 1)
    negated = _negated(condition)
    if negated is not None:
        return facts_of(negated, not holds, flow, depth + 1)
    if kind in {"boolean_operator", "binary_expression"} and _operator(condition) in {
        "and",
        "&&",
        "or",
        "||",
    }:
        sides = [condition.child_by_field_name(name) for name in ("left", "right")]
        parts = [facts_of(side, holds, flow, depth + 1) for side in sides if side is not None]
        if (_operator(condition) in {"and", "&&"}) == holds:
            return [fact for part in parts for fact in part]
        return [_any_of(parts)]
    if kind in {"comparison_operator", "binary_expression"} and (
        compared := _compared(condition, holds, flow)
    ):
        return compared
    if kind == "identifier":
        origin = flow.sole_definition(condition)
        if origin is not None:
            return facts_of(origin, holds, flow, depth + 1)
    if kind in CALLS:
        target = flow.function_called(condition)
        result = _sole_return(target.node) if target is not None else None
        called = flow.called(condition, target) if target is not None and result is not None else None
        if called is not None and result is not None:
            return facts_of(result, holds, called, depth + 1)
        if target is not None:
            # A check that isn't one expression: its code is part of the fact, so that weakening it shows.
            return [[str(holds), *flow.expand(condition), digest(target.file.body(target.node))]]
    return [[str(holds), *flow.expand(condition)]]


def _any_of(parts: Sequence[Sequence[Fact]]) -> Fact:
    """One fact: at least one of the parts holds."""
    alternatives = []
    for part in parts:
        if len(part) == 1 and part[0][:1] == ["any of"]:
            alternatives.append(part[0][1:-1])
        else:
            alternatives.append([token for fact in sorted(part) for token in [*fact, "and"]])
    return ["any of", *(token for alternative in sorted(alternatives) for token in [*alternative, "or"]), ""]


def _compared(condition: Node, holds: bool, flow: Flow) -> list[Fact]:
    """The facts of a comparison; empty where it is none."""
    operands, operators = _operands(condition)
    if len(operands) != len(operators) + 1 or not operators:
        return []
    if len(operators) > 1 and not holds:
        return []
    facts = []
    for first, written, second in zip(operands, operators, operands[1:], strict=False):
        operator = _LOOSE.get(written, written)
        if operator not in _NEGATED:
            return []
        truth = {"True": True, "true": True, "False": False, "false": False}.get(text_of(second))
        if truth is not None and operator in _SYMMETRIC:
            equal = operator in {"==", "is"}
            facts += facts_of(first, holds == (equal == truth), flow, 1)
            continue
        true_operator = operator if holds else _NEGATED[operator]
        sides = [flow.expand(first), flow.expand(second)]
        if true_operator in _MIRRORED:
            sides.reverse()
        elif true_operator in _SYMMETRIC:
            sides.sort()
        facts.append([_MIRRORED.get(true_operator, true_operator), *sides[0], ",", *sides[1]])
    return facts


def _operands(condition: Node) -> tuple[list[Node], list[str]]:
    operands: list[Node] = []
    operators: list[str] = []
    for child in condition.children:
        if child.type in COMMENTS:
            continue
        if child.is_named:
            operands.append(child)
        elif operators and len(operators) > len(operands) - 1 and operators[-1] in {"not", "is"}:
            operators[-1] += " " + text_of(child)
        else:
            operators.append(" ".join(text_of(child).split()))
    return operands, operators


def _operator(node: Node) -> str:
    operator = node.child_by_field_name("operator")
    return text_of(operator) if operator is not None else ""


def _unwrapped(node: Node) -> Node | None:
    """What a pair of brackets, or `bool(…)`, holds."""
    if node.type == "parenthesized_expression":
        return next((child for child in node.named_children if child.type not in COMMENTS), None)
    if node.type in CALLS:
        callee, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        if callee is not None and arguments is not None and text_of(callee) in {"bool", "Boolean"}:
            return arguments.named_children[0] if arguments.named_child_count == 1 else None
    return None


def _negated(node: Node) -> Node | None:
    if node.type == "not_operator" or (node.type == "unary_expression" and _operator(node) == "!"):
        return node.child_by_field_name("argument")
    return None


def _sole_return(function: Node) -> Node | None:
    """The expression that a function returns if it does nothing else."""
    body = function.child_by_field_name("body")
    if body is None:
        return None
    if body.type not in BLOCKS:
        return body
    statements = [
        child for child in body.named_children if child.type not in COMMENTS and not is_docstring(child)
    ]
    if len(statements) == 1 and statements[0].type == "return_statement":
        return next((child for child in statements[0].named_children if child.type not in COMMENTS), None)
    return None
