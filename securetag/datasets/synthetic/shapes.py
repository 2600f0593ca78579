"""Puts a source, a guard and a sink into one short function, in a shape and in a mode.

The *shape* is the control flow around the guard. The *mode* is what the author got right or wrong:

- ``sound``: the guard as meant; ``weak``: a look-alike in its place; ``combined``: followed by a
  second guard.
- ``inverted``: the check lets the wrong texts through; ``dead``: its outcome isn't used;
  ``after``: it runs when the sink already has; ``wrong-variable``: it looks at another parameter;
  ``partial``: it only runs for long texts; ``extended``: it also refuses long texts.

A mode's name says what was written, never what it is worth: a guard after the sink is harmless
where the page isn't returned. The oracle decides.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from typing import Literal

import msgspec

from securetag.datasets.synthetic import flows, modules
from securetag.datasets.synthetic.delivery import ROUTE
from securetag.datasets.synthetic.frameworks import Framework
from securetag.datasets.synthetic.guards import Guard
from securetag.datasets.synthetic.modules import Core, Line, Scaffold
from securetag.datasets.synthetic.reading import Opening, has_statement, write_header, write_reading
from securetag.datasets.synthetic.routes import ROUTES, choose_converter
from securetag.datasets.synthetic.sinks import Sink, make_literal
from securetag.records import EvidenceSpan

SHAPES = (
    "straight",
    "early-return",
    "nested-if",
    "ternary",
    "helper",
    "loop",
    "try-except",
    "caller",
    "method",
    "decorator",
)
#: Shapes in which guard and sink are in different functions.
ACROSS_FUNCTIONS = frozenset({"helper", "caller", "method", "decorator"})
#: What can be done wrong, or differently, with a check and with a transform.
MODES: dict[str, tuple[str, ...]] = {
    "check": ("weak", "inverted", "dead", "after", "wrong-variable", "partial", "extended"),
    "transform": ("weak", "dead", "after", "wrong-variable", "partial", "extended"),
    "flow": ("weak",),
}
#: Modes other than the sound one.
Mistake = Literal["weak", "inverted", "dead", "after", "wrong-variable", "partial", "extended"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a function but its mode; two functions of one plan differ in the guard alone."""

    framework: Framework
    #: Kind of source, a key of `framework.sources`.
    source: str
    sink: Sink
    guard: Guard
    shape: str
    function: str
    #: Names of the guarded variable, of the result of a transform, and of the other parameter.
    variable: str
    result: str
    other: str
    #: Is a second parameter read? Only then can a guard look at the wrong one.
    has_other: bool
    refusal: str
    spelling: str
    #: Index into the guard's look-alikes.
    weak: int
    #: The guard that follows in mode `combined`.
    second: Guard | None
    #: Does the function write a log entry where its guard decides? In every mode, so that it tells nothing.
    has_log: bool
    #: Names of the other functions: of a guard's, and of that which holds the sink; and of its class.
    helper: str = ""
    callee: str = "perform"
    class_name: str = "Service"
    #: Name of the object that a package's function gets, and what it asks of its parameter first.
    record: str = "record"
    opening: Opening = ""
    #: Names that a data flow uses.
    names: tuple[str, ...] = flows.DEFAULT_NAMES
    #: The module around the function; None writes the function with what it calls, nothing else.
    scaffold: Scaffold | None = None


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """Source text of one function or module, and the lines that carry its parts."""

    code: str
    mode: str
    evidence: list[EvidenceSpan]
    #: The function that answers a request: `show`, or `ItemHandler.get`.
    entry: str


_TURNED: dict[type[ast.cmpop], str] = {ast.In: "not in", ast.NotIn: "in", ast.Eq: "!=", ast.NotEq: "=="}


@lru_cache(maxsize=65_536)
def negate(check: str) -> str:
    """The negation as a person writes it: `x not in …`, `not …`, or the operand of a `not`.

    The text is edited, not unparsed: else its quotes would tell a negation from the check itself.
    """
    tree = ast.parse(check, mode="eval").body
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
        return check[tree.operand.col_offset :]
    if isinstance(tree, ast.Compare) and len(tree.ops) == 1 and type(tree.ops[0]) in _TURNED:
        second_operand = check[tree.comparators[0].col_offset :]
        return f"{check[: tree.left.end_col_offset]} {_TURNED[type(tree.ops[0])]} {second_operand}"
    return f"not ({check})" if isinstance(tree, (ast.BoolOp, ast.Compare, ast.IfExp)) else f"not {check}"


@lru_cache(maxsize=65_536)
def _joined(left: str, word: Literal["and", "or"], right: str) -> str:
    """`left and right` or `left or right`, the right one in brackets where it is a compound itself."""
    compound = isinstance(ast.parse(right, mode="eval").body, (ast.BoolOp, ast.IfExp))
    return f"{left} {word} ({right})" if compound else f"{left} {word} {right}"


def _spell(guard: Guard, variable: str, sink: Sink, *, weak: int | None = None) -> str:
    text = guard.sound if weak is None else guard.weak[weak % len(guard.weak)]
    a, b = sink.benign[0], sink.benign[1]
    return text.format(x=variable, a=a, b=b)


def list_modes(plan: Plan) -> list[str]:
    """The modes, beside `sound`, that this plan can be written in."""
    if plan.guard.kind == "flow":
        return list(MODES["flow"])
    fitting = [mode for mode in MODES[plan.guard.kind] if mode != "weak" or plan.guard.weak]
    if not plan.has_other:
        fitting.remove("wrong-variable")
    if _sink_line(plan, "x").startswith("raise") or _is_decorated(plan):
        fitting.remove("after")
    # A check without effect does something else instead: it writes to the log.
    if plan.guard.kind == "check" and plan.shape != "ternary" and not plan.has_log:
        fitting.remove("dead")
    return fitting


def list_shapes(framework: Framework, source: str, sink: Sink, guard: Guard) -> list[str]:
    """The shapes that these parts can be written in."""
    form = sink.carrier or (framework.page if sink.cwe == "CWE-79" else framework.redirect)
    shapes = ["straight"] if guard.kind == "flow" else [*SHAPES[:7]]
    if (sink.carrier or form.startswith("return ")) and "self." not in form:
        shapes += ["caller", "method"]
    if guard.kind == "check" and has_statement(framework, source):
        shapes.append("decorator")
    return shapes


def _sink_line(plan: Plan, variable: str) -> str:
    """The handler's last statement: it hands `variable` to the sink, or to the function with the sink."""
    if _is_called(plan):
        owner = f"{plan.class_name}()." if plan.shape == "method" else ""
        return f"return {owner}{plan.callee}({variable})"
    return _sink_statement(plan, variable)


def _sink_statement(plan: Plan, variable: str) -> str:
    value = make_literal(plan.sink.text, variable, plan.spelling)
    if plan.sink.carrier:
        return "return " + plan.sink.carrier.format(v=value)
    form = plan.framework.page if plan.sink.cwe == "CWE-79" else plan.framework.redirect
    return form.format(v=value)


def _is_called(plan: Plan) -> bool:
    """Whether the sink is in a function of its own. One that needs the handler's `self` can't be."""
    statement = _sink_statement(plan, "x")
    return plan.shape in {"caller", "method"} and statement.startswith("return ") and "self." not in statement


def _is_decorated(plan: Plan) -> bool:
    """Whether the guard is in a decorator of the handler, which has to return or raise to refuse."""
    is_check = plan.guard.kind == "check" and has_statement(plan.framework, plan.source)
    return plan.shape == "decorator" and is_check


def write_function(plan: Plan, mode: str) -> Function:
    """The function of `plan` in `mode`, in its module if it has one. Lines are counted from the first."""
    core = _write_core(plan, mode)
    lines, entry = modules.assemble(core, plan.framework, plan.scaffold)
    code = "\n".join("    " * depth + text if text else "" for depth, text, _ in lines) + "\n"
    if plan.scaffold is not None and plan.scaffold.is_single_quoted:
        code = modules.use_single_quotes(code)
    spans = [
        EvidenceSpan(role, number, number) for number, (_, _, role) in enumerate(lines, 1) if role is not None
    ]
    return Function(code=code, mode=mode, evidence=spans, entry=entry)


def source_of(plan: Plan, mode: str) -> str:
    """Return the kind of source of a function: what a request can carry, or a framework converts."""
    if plan.guard.family != "route":
        return plan.source
    converter = choose_converter(plan.guard.name, plan.framework.name, mode, plan.weak)
    values = f"|{plan.sink.benign[0]}|{plan.sink.benign[1]}" if converter == "listed" else ""
    return f"{ROUTE}{converter}{values}"


def _write_route(plan: Plan, mode: str) -> Core:
    """The handler of a route whose part, the handler's parameter, the framework converts."""
    converter = choose_converter(plan.guard.name, plan.framework.name, mode, plan.weak)
    route = ROUTES[plan.framework.name][converter]
    a, b = plan.sink.benign[:2]

    def fill(text: str) -> str:
        return text.format(f=plan.function, k=plan.variable, u=plan.names[1], a=a, b=b)

    read: list[Line] = [(1, f"{plan.variable} = {fill(route.source)}", "source")] if route.source else []
    # The parameter comes in at the handler's first line, unless a statement reads it or its type is there.
    begins: modules.Role | None = None if route.source else "guard" if route.guard == "header" else "source"
    decides: modules.Role = "source" if route.guard == "header" else "guard"
    sink_role: modules.Role | None = None if _is_called(plan) else "sink"
    return Core(
        before=_callee(plan) if _is_called(plan) else [],
        header=fill(route.header),
        decorator="",
        body=[*read, (1, _sink_line(plan, plan.variable), sink_role)],
        read=len(read),
        route=[(0, fill(route.decorator), decides)] if route.decorator else [],
        header_role=begins,
        after=[(0, fill(route.table), "guard")] if route.table else [],
    )


def _write_core(plan: Plan, mode: str) -> Core:
    if plan.guard.family == "route":
        return _write_route(plan, mode)
    before: list[Line] = []
    if plan.shape == "helper" and plan.guard.kind != "flow":
        before += _helper(plan, mode)
    if _is_called(plan):
        before += _callee(plan)
    if _is_decorated(plan):
        before += _decorator(plan, mode)
    read = write_reading(plan)
    body: list[Line] = []
    if _is_decorated(plan):
        more = _second(plan, plan.variable, 1) if mode == "combined" else []
        body += [*more, (1, _sink_line(plan, plan.variable), "sink")]
    elif plan.guard.kind == "flow":
        constants, lines = flows.write_flow(
            plan.guard.sound,
            plan.weak + 1 if mode == "weak" else 0,
            variable=plan.variable,
            result=plan.result,
            names=plan.names,
            constants=plan.sink.benign,
        )
        before = [*constants, *before]
        body += [*lines, (1, _sink_line(plan, plan.result), "sink")]
    elif mode == "after":
        body += _after(plan)
    elif plan.guard.kind == "check":
        body += _checked(plan, mode)
    else:
        body += _transformed(plan, mode)
    if _is_called(plan):
        body = [(depth, text, None if role == "sink" else role) for depth, text, role in body]
    if plan.framework.loop:
        body = [(depth + 1, text, role) for depth, text, role in body]
    return Core(
        before=before,
        header=write_header(plan),
        decorator=plan.helper or "checked" if _is_decorated(plan) else "",
        body=[*read, *body],
        read=len(read),
        header_role=None if plan.framework.sources[plan.source] else "source",
    )


def _callee(plan: Plan) -> list[Line]:
    """The function, or the class with a method, that holds the sink."""
    parameter = plan.names[0]
    sink = _sink_statement(plan, parameter)
    scaffold = plan.scaffold
    typed = f"{parameter}: str" if scaffold is not None and scaffold.is_typed else parameter
    option = f", {scaffold.option}" if scaffold is not None and scaffold.option else ""
    if plan.shape == "method":
        return [
            (0, f"class {plan.class_name}:", None),
            (1, f"def {plan.callee}(self, {typed}{option}):", None),
            (2, sink, "sink"),
        ]
    return [(0, f"def {plan.callee}({typed}{option}):", None), (1, sink, "sink")]


def _decorator(plan: Plan, mode: str) -> list[Line]:
    """A decorator that runs the guard before the handler."""
    source = plan.framework.sources[plan.source]
    subject = plan.other if mode == "wrong-variable" else plan.variable
    _, fails = _condition(plan, mode, plan.variable)
    inside = write_header(plan).partition("(")[2].partition(")")[0]
    passed = ", ".join(name.partition(":")[0].strip() for name in inside.split(","))
    given, passed = (f"{text}, " if inside else "" for text in (inside, passed))
    names = [subject] if subject == plan.variable else [subject, plan.variable]
    return [
        (0, f"def {plan.helper or 'checked'}(handler):", None),
        (1, f"def wrapped({given}*args, **kwargs):", None),
        *[
            (2, f"{name} = {source.format(k=name, r=plan.record)}", None)
            for name in names
            if re.search(rf"\b{name}\b", fails)
        ],
        (2, f"if {fails}:", "guard"),
        *_refused(plan, mode, 3, plan.refusal),
        (2, f"return handler({passed}*args, **kwargs)", None),
        (1, "return wrapped", None),
    ]  # fmt: skip


def _condition(plan: Plan, mode: str, variable: str) -> tuple[str, str]:
    """(passes, fails): two expressions about `variable`, or about the other parameter."""
    subject = plan.other if mode == "wrong-variable" else variable
    check = _spell(plan.guard, subject, plan.sink, weak=plan.weak if mode == "weak" else None)
    if plan.shape == "helper":
        name = plan.helper or "check"
        passes, fails = f"{name}({subject})", f"not {name}({subject})"
    else:
        passes, fails = check, negate(check)
    if mode == "inverted":
        return fails, passes
    if mode == "partial":
        return _joined(f"len({variable}) < 64", "or", passes), _joined(f"len({variable}) > 64", "and", fails)
    if mode == "extended":
        return _joined(f"len({variable}) < 64", "and", passes), _joined(f"len({variable}) > 64", "or", fails)
    return passes, fails


def _second(plan: Plan, variable: str, depth: int) -> list[Line]:
    """The guard that follows in mode `combined`."""
    if plan.second is None:
        return []
    text = _spell(plan.second, variable, plan.sink)
    if plan.second.kind == "transform":
        return [(depth, f"{variable} = {text}", "guard")]
    return [(depth, f"if {negate(text)}:", "guard"), (depth + 1, plan.refusal, None)]


def _helper(plan: Plan, mode: str) -> list[Line]:
    name = plan.helper or ("check" if plan.guard.kind == "check" else "clean")
    text = _spell(plan.guard, plan.names[0], plan.sink, weak=plan.weak if mode == "weak" else None)
    typed = ": str" if plan.scaffold is not None and plan.scaffold.is_typed else ""
    return [(0, f"def {name}({plan.names[0]}{typed}):", None), (1, f"return {text}", "guard")]


def _refused(plan: Plan, mode: str, depth: int, refusal: str) -> list[Line]:
    """What happens where a check fails: a log entry, a refusal, or both."""
    log: list[Line] = [(depth, 'log.warning("refused")', None)] if plan.has_log else []
    return log if mode == "dead" else [*log, (depth, refusal, None)]


def _checked(plan: Plan, mode: str) -> list[Line]:
    x, y = plan.variable, plan.result
    passes, fails = _condition(plan, mode, x)
    refused = _refused(plan, mode, 2, plan.refusal)
    more = _second(plan, x, 1) if mode == "combined" else []
    sink = _sink_line(plan, x)
    if plan.shape == "straight":
        return [(1, f"ok = {passes}", "guard"), (1, "if not ok:", None), *refused, *more, (1, sink, "sink")]
    if plan.shape == "nested-if":
        accepted: list[Line] = [(2, 'log.info("accepted")', None)] if plan.has_log else []
        if mode == "dead":
            return [(1, f"if {passes}:", "guard"), *accepted, (1, sink, "sink")]
        deeper = _second(plan, x, 2) if mode == "combined" else []
        return [(1, f"if {passes}:", "guard"), *accepted, *deeper, (2, sink, "sink"), (1, plan.refusal, None)]
    if plan.shape == "ternary":
        kept = x if mode == "dead" else y
        more = _second(plan, y, 1) if mode == "combined" else []
        return [(1, f'{y} = {x} if {passes} else "{plan.sink.benign[0]}"', "guard"), *more,
                (1, _sink_line(plan, kept), "sink")]  # fmt: skip
    if plan.shape == "loop":
        return _looped(plan, mode)
    if plan.shape == "try-except":
        return [(1, "try:", None), (2, f"if {fails}:", "guard"), (3, 'raise ValueError("refused")', None),
                (1, "except ValueError:", None), *refused, *more, (1, sink, "sink")]  # fmt: skip
    return [(1, f"if {fails}:", "guard"), *refused, *more, (1, sink, "sink")]


def _looped(plan: Plan, mode: str) -> list[Line]:
    """Each line of the parameter by itself: a loop variable takes the guarded variable's place."""
    x, y = plan.variable, plan.result
    _, inner = _condition(plan, mode, y)
    more = _second(plan, y, 2) if mode == "combined" else []
    return [
        (1, f"for {y} in {x}.splitlines():", None), (2, f"if {inner}:", "guard"),
        *_refused(plan, mode, 3, "continue"), *more, (2, _sink_line(plan, y), "sink"),
    ]  # fmt: skip


def _value(plan: Plan, mode: str, variable: str) -> str:
    subject = plan.other if mode == "wrong-variable" else variable
    if plan.shape == "helper":
        return f"{plan.helper or 'clean'}({subject})"
    return _spell(plan.guard, subject, plan.sink, weak=plan.weak if mode == "weak" else None)


def _transformed(plan: Plan, mode: str) -> list[Line]:
    x, y = plan.variable, plan.result
    value = _value(plan, mode, x)
    # The value is made in every mode; what differs is whether the sink gets it.
    goes = x if mode in {"dead", "wrong-variable"} else y
    if mode == "partial":
        if plan.shape == "loop":
            return [(1, f"for {y} in {x}.splitlines():", None), (2, f"if len({y}) > 64:", None),
                    (3, f"{y} = {_value(plan, mode, y)}", "guard"),
                    (2, _sink_line(plan, y), "sink")]  # fmt: skip
        if plan.shape == "ternary":
            return [
                (1, f"{y} = {value} if len({x}) > 64 else {x}", "guard"),
                (1, _sink_line(plan, y), "sink"),
            ]
        return [
            (1, f"if len({x}) > 64:", None),
            (2, f"{x} = {value}", "guard"),
            (1, _sink_line(plan, x), "sink"),
        ]
    more = _second(plan, y, 1) if mode == "combined" else []
    sink: Line = (1, _sink_line(plan, goes), "sink")
    if mode == "extended":
        # The text is changed in any case; long ones are cut before.
        return [
            (1, f"if len({x}) > 64:", None),
            (2, f"{x} = {x}[:64]", None),
            (1, f"{y} = {value}", "guard"),
            sink,
        ]
    if plan.shape == "early-return":
        return [
            (1, f"if not {x}:", None),
            (2, plan.refusal, None),
            (1, f"{y} = {value}", "guard"),
            *more,
            sink,
        ]
    if plan.shape == "nested-if":
        deeper = _second(plan, y, 2) if mode == "combined" else []
        return [(1, f"if {x}:", None), (2, f"{y} = {value}", "guard"), *deeper, (2, sink[1], "sink"),
                (1, plan.refusal, None)]  # fmt: skip
    if plan.shape == "ternary":
        return [(1, f'{y} = {value} if {x} else "{plan.sink.benign[0]}"', "guard"), *more, sink]
    if plan.shape == "loop":
        deeper = _second(plan, y, 2) if mode == "combined" else []
        item = "part"
        taken = item if goes == x else y
        inner = _value(plan, mode, item)
        return [(1, f"for {item} in {x}.splitlines():", None), (2, f"{y} = {inner}", "guard"), *deeper,
                (2, _sink_line(plan, taken), "sink")]  # fmt: skip
    if plan.shape == "try-except":
        return [(1, "try:", None), (2, f"{y} = {value}", "guard"), (1, "except ValueError:", None),
                (2, plan.refusal, None), *more, sink]  # fmt: skip
    return [(1, f"{y} = {value}", "guard"), *more, sink]


def _after(plan: Plan) -> list[Line]:
    """The sink first, then the guard, then the answer."""
    sink = _sink_line(plan, plan.variable)
    keeps = sink.startswith("return ")
    first = f"done = {sink.removeprefix('return ')}" if keeps else sink
    lines: list[Line] = [(1, first, "sink")]
    if plan.guard.kind == "check":
        _, fails = _condition(plan, "sound", plan.variable)
        lines += [(1, f"if {fails}:", "guard"), (2, plan.refusal, None)]
    else:
        lines.append((1, f"{plan.variable} = {_value(plan, 'sound', plan.variable)}", "guard"))
    if keeps:
        lines.append((1, "return done", None))
    return lines
