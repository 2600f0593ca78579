"""Data flows in which the flagged value is not the request's, and the same flows with one mistake.

The commonest false positives in practice: a scanner sees that a value from outside takes part, and doesn't
see that another one arrives. A flow is the statements between source and sink. `«0|1»` marks what differs:
the first text is what was meant, the others are mistakes; all marks of a flow change together. A line that
starts with `^` belongs to the module.

`{x}` is the value from outside, `{y}` what the sink gets, `{a}` and `{b}` the sink's honest values, `{p}` to
`{t}` names, `{P}` a constant's and `{R}` a class's name. Which of the texts are safe, the oracle finds out.
"""

from __future__ import annotations

import re

from securetag.datasets.synthetic.modules import Line

#: Names for a plan without names of its own.
DEFAULT_NAMES = ("text", "label", "options", "entry", "kind")
_MARK = re.compile("«([^»]*)»")

FLOWS: dict[str, str] = {
    # An element of a list or dictionary.
    "dict-element": """
{r} = {{"{p}": "{a}", "{q}": {x}}}
{y} = {r}["«{p}|{q}»"]
""",
    "dict-assigned": """
{r} = {{}}
{r}["{p}"] = {x}
{r}["{q}"] = "{a}"
{y} = {r}["«{q}|{p}»"]
""",
    "dict-get-default": """
{r} = {{"{p}": "{a}"}}
{y} = {r}.get("«{p}|{q}»", {x})
""",
    "dict-updated": """
{r} = {{"{p}": «{x}|"{a}"»}}
{r}.update({p}=«"{a}"|{x}»)
{y} = {r}["{p}"]
""",
    "list-element": """
{r} = ["{a}", {x}, "{b}"]
{y} = {r}[«2|1»]
""",
    "list-shifted": """
{r} = ["{b}"]
{r}.append({x})
{r}.append("{a}")
{r}.pop(0)
{y} = {r}[«1|0»]
""",
    "tuple-unpacked": """
«{y}, {q}|{q}, {y}» = ("{a}", {x})
""",
    # A variable that is overwritten.
    "overwritten": """
{y} = «{x}|"{a}"»
log.info("%s", {y})
{y} = «"{a}"|{x}»
""",
    "overwritten-in-branch": """
{y} = {x}
if len({x}) «>=|<» 0:
    {y} = "{b}"
""",
    "loop-overwrites": """
{y} = «{x}|"{a}"»
for {q} in («"{b}", "{a}"|"{b}", {x}»):
    {y} = {q}
""",
    # A branch that is never taken.
    "constant-flag": """
^{P} = «False|True»
if {P}:
    {y} = {x}
else:
    {y} = "{a}"
""",
    "constant-flag-off": """
^{P} = «True|False»
{y} = {x}
if {P}:
    {y} = "{a}"
""",
    "arithmetic": """
{q} = 106
{y} = "{a}" if 7 * 18 + {q} «>|<» 200 else {x}
""",
    "arithmetic-if": """
{q} = 86
if 7 * 42 - {q} «<|>» 200:
    {y} = {x}
else:
    {y} = "{a}"
""",
    "length-of-constant": """
^{P} = ("{p}", "{q}", "{r}")
{y} = {x} if len({P}) «>|==» 3 else "{b}"
""",
    "empty-loop": """
{y} = "{a}"
for {q} in range(«0, 0|0, 1»):
    {y} = {x}
""",
    "match-constant": """
^{P} = "«{p}|{q}»"
match {P}:
    case "{p}":
        {y} = "{a}"
    case _:
        {y} = {x}
""",
    "match-character": """
{r} = "ABC"[«1|2»]
match {r}:
    case "A" | "C":
        {y} = {x}
    case _:
        {y} = "{a}"
""",
    "exception-path": """
try:
    {q} = ("{p}", "{r}")[«1|2»]
    {y} = "{a}"
except IndexError:
    {y} = {x}
""",
    # A value of the configuration.
    "settings-value": """
^{P} = {{"{p}": "{a}", "{q}": "{b}"}}
{r} = {{**«{{"{p}": {x}}}, **{P}|{P}, "{p}": {x}»}}
{y} = {r}["{p}"]
""",
    "settings-or": """
^{P} = "«{a}|»"
{y} = {P} or {x}
""",
    "environment-default": """
^{P} = {{"{p}": "{b}"}}
{y} = {P}.setdefault("«{p}|{q}»", {x})
{P}.pop("{q}", None)
""",
    # Through an object.
    "dataclass-field": """
^@dataclass
^class {R}:
^    {p}: str
^    {q}: str = "{a}"
{r} = {R}({x})
{y} = {r}.«{q}|{p}»
""",
    "attribute": """
^class {R}:
^    def __init__(self, {p}):
^        self.{p} = «"{a}"|{p}»
^        self.{q} = «{p}|"{a}"»
{r} = {R}({x})
{y} = {r}.{p}
""",
    "keyword-default": """
^def {s}({p}, {q}="{a}"):
^    return «{q}|{p}»
{y} = {s}({x})
""",
    "two-arguments": """
^def {s}({p}, {q}):
^    return {q}
{y} = {s}(«{x}, "{b}"|"{b}", {x}»)
""",
    "closure": """
def {s}({p}):
    return «"{a}"|{p}»
{y} = {s}({x})
""",
    # Only a fact about the value arrives.
    "membership-as-index": """
^{P} = ["{a}", "{b}"]
{q} = {x} in {P}
{y} = «{P}[int({q})]|{P}[0] if {q} else {x}»
""",
    "length-as-index": """
^{P} = ("{a}", "{b}")
{q} = len({x}) % 2
{y} = «{P}[{q}]|{x} or {P}[{q}]»
""",
    "joined-constants": """
{r} = [{x}, "{a}"]
{y} = "".join({r}[«1:|:1»])
""",
    "filtered": """
^{P} = ("{a}", "{b}")
{r} = [{q} for {q} in {P} if {q} == {x}]
{y} = {r}[0] if {r} else «{P}[0]|{x}»
""",
    "comprehension-of-rows": """
{r} = {{{p}: {p} for {p} in («"{a}", "{b}"|{x}, "{b}"»)}}
{y} = next(iter({r}))
""",
}

#: Values that a template engine escapes, or would if it weren't told not to. For pages alone.
TEMPLATES: dict[str, str] = {
    "environment-autoescape": """
^{P} = Environment(autoescape=«True|False»)
{y} = {P}.from_string("{{{{ {p} }}}}").render({p}={x})
""",
    "selected-autoescape": """
^{P} = Environment(autoescape=select_autoescape(["html"], default_for_string=«True|False»))
{y} = {P}.from_string("{{{{ {p} }}}}").render({{"{p}": {x}}})
""",
    "template-string": """
{y} = render_template_string("<i>{{{{ {p} }}}}</i>", {p}=«{x}|Markup({x})»)
""",
    "template-concatenated": """
{r} = «"<i>{{{{ {p} }}}}</i>"|"<i>" + {x} + "</i>"»
{y} = render_template_string({r}, {p}={x})
""",
    "autoescape-block": """
{r} = "{{% autoescape «true|false» %}}{{{{ {p} }}}}{{% endautoescape %}}"
{y} = render_template_string({r}, {p}={x})
""",
    "template-autoescape-off": """
{r} = Environment(autoescape=«True|False»).from_string("<b>{{{{ {p} or '{b}' }}}}</b>")
{y} = {r}.render({p}={x})
""",
}

#: In test rows only.
UNSEEN = frozenset(
    {
        *("list-shifted", "match-character", "attribute", "dict-updated", "empty-loop", "filtered"),
        "autoescape-block",
    }
)


def write_flow(
    text: str, variant: int, *, variable: str, result: str, names: tuple[str, ...], constants: tuple[str, ...]
) -> tuple[list[Line], list[Line]]:
    """Return the module's lines and the function's lines of a flow; variant 0 is what was meant."""

    def choose(match: re.Match[str]) -> str:
        texts = match.group(1).split("|")
        return texts[0] if variant == 0 else texts[1 + (variant - 1) % (len(texts) - 1)]

    p, q, r, s, t = names[:5]
    values = {
        "x": variable,
        "y": result,
        "a": constants[0],
        "b": constants[1],
        "p": p,
        "q": q,
        "r": r,
        "s": s,
        "t": t,
        "P": t.upper(),
        "R": "".join(part.title() for part in t.split("_")),
    }
    above: list[Line] = []
    inside: list[Line] = []
    for line in text.strip("\n").split("\n"):
        written = _MARK.sub(choose, line).format(**values)
        role = "guard" if _MARK.search(line) else None
        is_above = written.startswith("^")
        written = written.removeprefix("^")
        depth = (len(written) - len(written.lstrip())) // 4
        (above if is_above else inside).append((depth if is_above else depth + 1, written.strip(), role))  # type: ignore[arg-type]
    return above, inside
