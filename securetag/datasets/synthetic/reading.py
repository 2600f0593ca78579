"""How a function gets what comes from outside: its first line, and the statements that read it.

A handler reads its request. A package's function has it as a parameter, or takes it from an object, a record
or rows that it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from securetag.datasets.synthetic.frameworks import Framework

if TYPE_CHECKING:
    from securetag.datasets.synthetic.modules import Line
    from securetag.datasets.synthetic.shapes import Plan

__all__ = ["Opening", "has_statement", "write_header", "write_reading"]

#: What a function makes sure of before it uses its parameter: both functions of a pair do.
Opening = Literal["", "present", "text", "default"]


def has_statement(framework: Framework, source: str) -> bool:
    """Return whether a decorator can read the source too, in one statement that waits for nothing."""
    text = framework.sources[source]
    return bool(text) and not framework.loop and "await" not in text


def write_header(plan: Plan) -> str:
    """Return the first line of a plan's function; a package names the parameters that are its source."""
    typed = ": str" if plan.scaffold is not None and plan.scaffold.is_typed else ""
    other = f", {plan.other}{typed}" if plan.has_other else ""
    return plan.framework.header.format(f=plan.function, k=f"{plan.variable}{typed}", o=other, r=plan.record)


def write_reading(plan: Plan) -> list[Line]:
    """Return the statements that read what comes from outside."""
    source = plan.framework.sources[plan.source]
    lines: list[Line] = []
    depth = 1
    if plan.framework.loop:
        lines.append((1, plan.framework.loop.format(r=plan.record), None))
        depth = 2
    if source:
        lines.append((depth, f"{plan.variable} = {source.format(k=plan.variable, r=plan.record)}", "source"))
        if plan.has_other:
            lines.append((depth, f"{plan.other} = {source.format(k=plan.other, r=plan.record)}", None))
    x = plan.variable
    match plan.opening:
        case "present":
            lines += [(depth, f"if {x} is None:", None), (depth + 1, plan.refusal, None)]
        case "text":
            lines += [
                (depth, f"if not isinstance({x}, str):", None),
                (depth + 1, f'raise TypeError("{x}")', None),
            ]
        case "default":
            lines.append((depth, f'{x} = {x} or "{plan.sink.benign[0]}"', None))
    return lines
