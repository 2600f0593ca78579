"""Edits of guards, sources and sinks: what must make a verdict stale, and what must not."""

from __future__ import annotations

from tree_sitter import Node

from benchmarks.identity.edits import (
    Case,
    Change,
    Edit,
    Kind,
    Unfit,
    guards_before,
    local_names,
    names_in,
    parameters_of,
)
from benchmarks.identity.sites import SINKS
from securetag.scanning.identity.syntax import FUNCTIONS, ancestors, text_of, walk


def _guard(case: Case) -> tuple[Node, Node, Node]:
    """(`if` statement, condition, body) of a guard before the call."""
    guards = list(guards_before(case))
    if not guards:
        raise Unfit
    guard = case.rng.choice(guards[:2])
    condition, body = (guard.child_by_field_name(name) for name in ("condition", "consequence"))
    assert condition is not None
    assert body is not None
    if any(guard.start_byte <= site.start < guard.end_byte for site in case.sites):
        raise Unfit
    return guard, condition, body


def _bare(case: Case, condition: Node) -> bytes:
    text = case.text(condition)
    return text if case.is_python else text[1:-1]


def _lines(case: Case, node: Node) -> tuple[int, int]:
    case.indent_of(node)
    return case.line_start(node), case.line_end(node)


def removed(case: Case) -> Edit:
    """The guard goes away."""
    guard, _, _ = _guard(case)
    start, end = _lines(case, guard)
    assert guard.parent is not None
    return case.edit("guard removed", [Change(start, end, b"")], "stale")


def bypassed(case: Case) -> Edit:
    """The guard has a way round."""
    _, condition, _ = _guard(case)
    text = _bare(case, condition)
    if b"\n" in text:
        raise Unfit
    new = b"(" + text + b") and not DEBUG" if case.is_python else b"((" + text + b") && !DEBUG)"
    return case.edit("guard bypassed", [Change(condition.start_byte, condition.end_byte, new)], "stale")


def logging_only(case: Case) -> Edit:
    """The guard writes a log line instead of leaving the function."""
    guard, _, body = _guard(case)
    if case.is_python:
        new = b"logger.warning('refused')"
        if body.type != "block" or guard.start_point[0] == body.start_point[0]:
            raise Unfit
    else:
        new = b"{ console.warn('refused'); }"
    return case.edit("guard that only logs", [Change(body.start_byte, body.end_byte, new)], "stale")


def late(case: Case) -> Edit:
    """The guard comes after the flagged statement."""
    guard, _, _ = _guard(case)
    start, end = _lines(case, guard)
    if guard.parent != case.statement.parent:
        raise Unfit
    after = case.line_end(case.statement)
    text = case.content[start:end]
    return case.edit(
        "guard moved after the sink", [Change(start, end, b""), Change(after, after, text)], "stale"
    )


def loosened(case: Case) -> Edit:
    """A part of the guard's condition goes away."""
    _, condition, _ = _guard(case)
    for node in walk(condition):
        operator = node.child_by_field_name("operator")
        if operator is not None and text_of(operator) in {"or", "||"}:
            left = node.child_by_field_name("left")
            assert left is not None
            return case.edit(
                "guard loosened", [Change(node.start_byte, node.end_byte, case.text(left))], "stale"
            )
    raise Unfit


def other_variable(case: Case) -> Edit:
    """The guard checks another variable."""
    _, condition, _ = _guard(case)
    assert case.function is not None
    parameters = [text_of(node) for node in parameters_of(case.function)]
    used = names_in(condition)
    guarded = [name for name in used if name in parameters]
    others = [name for name in parameters if name not in used]
    if not guarded or not others:
        raise Unfit
    changes = [Change(node.start_byte, node.end_byte, others[0].encode()) for node in used[guarded[0]]]
    return case.edit("guard on another variable", changes, "stale")


def inverted(case: Case) -> Edit:
    """The guard refuses what it let through."""
    _, condition, _ = _guard(case)
    text = _bare(case, condition)
    if b"\n" in text:
        raise Unfit
    new = b"not (" + text + b")" if case.is_python else b"(!(" + text + b"))"
    return case.edit("guard inverted", [Change(condition.start_byte, condition.end_byte, new)], "stale")


def nested(case: Case) -> Edit:
    """`if bad: return` becomes `if not bad:` around the rest of the block."""
    guard, condition, body = _guard(case)
    block = guard.parent
    assert block is not None
    if body.named_child_count != 1 or body.named_children[0].type == "break_statement":
        raise Unfit  # what else the guard does would be lost
    start, end = _lines(case, guard)
    last = block.named_children[-1]
    stop = case.line_end(last)
    rest = case.content[end:stop]
    if not case.is_python or b'"""' in rest or b"'''" in rest or b"\\\n" in rest or not rest.strip():
        raise Unfit
    text = _bare(case, condition)
    if b"\n" in text or last.end_byte > stop:
        raise Unfit
    head = case.indent_of(guard) + b"if not (" + text + b"):\n"
    changes = [Change(start, end, head)]
    offset = end
    for line in rest.splitlines(keepends=True):
        if line.strip():
            changes.append(Change(offset, offset, b"    "))
        offset += len(line)
    return case.edit("guard nested", changes)


def in_variable(case: Case) -> Edit:
    """The condition gets a name."""
    guard, condition, _ = _guard(case)
    text = _bare(case, condition)
    start, _ = _lines(case, guard)
    if b"\n" in text or b":=" in text or b"await" in text:
        raise Unfit
    head = b"is_refused = " + text + b"\n" if case.is_python else b"const isRefused = " + text + b";\n"
    use = b"is_refused" if case.is_python else b"(isRefused)"
    return case.edit(
        "guard's condition in a variable",
        [
            Change(start, start, case.indent_of(guard) + head),
            Change(condition.start_byte, condition.end_byte, use),
        ],
    )


def in_function(case: Case) -> Edit:
    """The condition gets a function of its own."""
    _, condition, _ = _guard(case)
    text = _bare(case, condition)
    if b"\n" in text or b":=" in text or b"await" in text or b"yield" in text or b"super" in text:
        raise Unfit
    if b"this" in text:
        raise Unfit
    assert case.function is not None
    around = [each for each in ancestors(case.call) if each.type in FUNCTIONS]
    local = {name for function in around for name in local_names(function)}
    used = [name for name in names_in(condition) if name in local | {"self", "cls"}]
    names = ", ".join(used).encode()
    if case.is_python:
        definition = b"\n\ndef is_refused(" + names + b"):\n    return " + text + b"\n"
        use = b"is_refused(" + names + b")"
    else:
        definition = b"\nfunction isRefused(" + names + b") {\n  return " + text + b";\n}\n"
        use = b"(isRefused(" + names + b"))"
    return case.edit(
        "guard's condition in a function",
        [
            Change(condition.start_byte, condition.end_byte, use),
            Change(len(case.content), len(case.content), definition),
        ],
    )


def de_morgan(case: Case) -> Edit:
    """`a or b` becomes `not (not (a) and not (b))`; any other condition `not (not (…))`."""
    _, condition, _ = _guard(case)
    node = condition if case.is_python else condition.named_children[0]
    operator = node.child_by_field_name("operator")
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    word = text_of(operator) if operator is not None else ""
    no, both, either = (b"not ", b"and", b"or") if case.is_python else (b"!", b"&&", b"||")
    if left is not None and right is not None and word in {"or", "||", "and", "&&"}:
        joint = both if word in {"or", "||"} else either
        new = b"(" + no + b"(" + case.text(left) + b") " + joint + b" " + no + b"(" + case.text(right) + b"))"
        new = no + new
    else:
        new = no + b"(" + no + b"(" + case.text(node) + b"))"
    if b"\n" in new:
        raise Unfit
    return case.edit("guard by De Morgan", [Change(node.start_byte, node.end_byte, new)])


def raised(case: Case) -> Edit:
    """The guard raises instead of returning, or the other way round."""
    _, _, body = _guard(case)
    if not case.is_python or body.type != "block" or body.named_child_count != 1:
        raise Unfit
    only = body.named_children[0]
    if only.type == "return_statement":
        new = b"raise ValueError('refused')"
    elif only.type == "raise_statement":
        new = b"return None"
    else:
        raise Unfit
    return case.edit("guard leaves in another way", [Change(only.start_byte, only.end_byte, new)])


def second_guard(case: Case) -> Edit:
    """Another guard is added before the statement."""
    start = case.line_start(case.statement)
    indent = case.indent
    if case.is_python:
        text = indent + b"if is_closed():\n" + indent + b"    raise RuntimeError('closed')\n"
    else:
        text = indent + b"if (isClosed()) { throw new Error('closed'); }\n"
    if case.function is None:
        raise Unfit
    return case.edit("guard added", [Change(start, start, text)])


def login_removed(case: Case) -> Edit:
    """A decorator that checks who calls goes away."""
    if case.function is None or case.function.type != "function_definition":
        raise Unfit
    start = case.line_start(case.function)
    line = case.indent_of(case.function) + b"@login_required\n"
    with_login = case.edit("access check removed", [Change(start, start, line)])
    without = case.edit("access check removed", [], "stale")
    truth = {place: without.truth[at] for at, place in with_login.truth.items() if place is not None}
    target = with_login.truth[with_login.target]
    assert target is not None
    return Edit(without.kind, [with_login.versions[1], without.versions[1]], target, truth, "stale")


def source(case: Case) -> Edit:
    """The call gets a value of the request instead."""
    arguments = case.call.child_by_field_name("arguments")
    if arguments is None or arguments.type not in {"argument_list", "arguments"}:
        raise Unfit
    first = arguments.named_children[0]
    if first.type in {"keyword_argument", "list_splat", "dictionary_splat", "spread_element"}:
        raise Unfit
    if any(first.start_byte <= site.start < first.end_byte for site in case.sites):
        raise Unfit
    new = b'request.args["q"]' if case.is_python else b"req.query.q"
    return case.edit("source changed", [Change(first.start_byte, first.end_byte, new)], "stale")


def definition(case: Case) -> Edit:
    """The variable that the call gets is made of something else."""
    arguments = case.call.child_by_field_name("arguments")
    if arguments is None or not arguments.named_children or case.function is None:
        raise Unfit
    # What a callback uses isn't handed to the call.
    values = [each for each in arguments.named_children if each.type not in FUNCTIONS]
    used = {name for each in values for name in names_in(each)}
    best = None
    for node in walk(case.function, lambda each: each.type not in FUNCTIONS):
        if node.type in {"assignment", "variable_declarator"} and node.end_byte <= case.call.start_byte:
            target = node.child_by_field_name("left") or node.child_by_field_name("name")
            value = node.child_by_field_name("right") or node.child_by_field_name("value")
            if (
                target is not None
                and value is not None
                and target.type == "identifier"
                and text_of(target) in used
            ):
                best = value
    if best is None or any(best.start_byte <= site.start < best.end_byte for site in case.sites):
        raise Unfit
    new = b'request.headers["X-Any"]' if case.is_python else b"req.headers.any"
    return case.edit(
        "source changed at its definition", [Change(best.start_byte, best.end_byte, new)], "stale"
    )


def sink(case: Case) -> Edit:
    """Another function of the same kind is called."""
    callee = case.call.child_by_field_name("function")
    assert callee is not None
    name = text_of(callee).rsplit(".", 1)[-1]
    others = sorted(SINKS[case.site.rule] - {name})
    start = callee.end_byte - len(name.encode())
    new = case.rng.choice(others).encode()
    return case.edit("sink changed", [Change(start, callee.end_byte, new)], "stale")


COMMON: list[Kind] = [
    removed,
    bypassed,
    logging_only,
    late,
    loosened,
    other_variable,
    inverted,
    in_variable,
    in_function,
    de_morgan,
    second_guard,
    source,
    definition,
    sink,
]
PYTHON: list[Kind] = [nested, raised, login_removed]
