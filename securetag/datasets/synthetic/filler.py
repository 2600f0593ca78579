"""Statements, helpers, classes and comments of a module that have no part in the flagged flow.

They are what is around a flow in real code: most of a file. None of them reads the request or reaches a
sink, and a pair's two functions have the same.
"""

# ruff: noqa: E501  # tables: one entry a line reads better than one word a line

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from securetag.datasets.synthetic.frameworks import PACKAGE
from securetag.datasets.synthetic.vocabulary import Vocabulary


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """What a framework's modules have around a handler. `{u}` is a path, `{n}` a number, `{w}` a name."""

    setup: tuple[str, ...] = ()
    decorators: tuple[str, ...] = ()
    #: Of a class whose methods are handlers.
    suffix: str = ""
    parent: str = ""


STYLES: dict[str, Style] = {
    "flask": Style(
        setup=('bp = Blueprint("{w}", __name__)',), decorators=('@bp.route("/{u}", methods=["GET", "POST"])',)
    ),
    "django": Style(decorators=("@login_required",)),
    "starlette": Style(decorators=('@requires("{w}")',)),
    "fastapi": Style(setup=('router = APIRouter(prefix="/{w}")',), decorators=('@router.get("/{u}")',)),
    "tornado": Style(suffix="Handler", parent="(RequestHandler)"),
    "bottle": Style(decorators=('@route("/{u}")',)),
    "aiohttp": Style(setup=("routes = web.RouteTableDef()",), decorators=('@routes.get("/{u}")',)),
    "falcon": Style(suffix="Resource"),
    "http.server": Style(suffix="Handler", parent="(BaseHTTPRequestHandler)"),
    PACKAGE: Style(),
}

#: `{a}` to `{d}` are names of variables, `{f}` and `{g}` of functions, `{C}` of a class, `{K}` a constant's.
_CONSTANTS = (
    "{K} = {n}",
    '{K} = "{b}"',
    '{K} = ("{b}", "{c}")',
    '{K} = {{"{b}": {n}, "{c}": {m}}}',
    '{K} = ["{b}", "{c}", "{d}"]',
    "{K} = {n} * 60",
    "{K} = frozenset({{{n}, {m}}})",
    "{K} = None",
    "{K} = True",
    "{K} = False",
)
_STATEMENTS = (
    "{a} = {n}",
    '{a} = {{"{b}": {n}, "{c}": None}}',
    '{a} = ["{b}", "{c}"]',
    'log.debug("{b} %s", "{c}")',
    'log.info("{b} {c}")',
    "{a} = [{b} for {b} in range({n})]",
    '{a} = {{"{b}": "{c}"}}\n{a}.update({d}={n})',
    "{a}, {b} = {n}, {m}",
    'if {n} > {m}:\n    log.warning("{b} {c}")',
    '{a} = "{b}" if {n} % 2 else "{c}"',
    "{a} = max({n}, {m})",
    "{a} = []\nfor {b} in range({n}):\n    {a}.append({b} * {m})",
    "try:\n    {a} = {n} // {m}\nexcept ZeroDivisionError:\n    {a} = 0",
    '{a} = sum([{n}, {m}])\nif not {a}:\n    log.error("{b}")',
    '{a} = dict(zip(("{b}", "{c}"), ({n}, {m})))',
    '{a} = "-".join(("{b}", "{c}", "{d}"))',
    "# {s}",
    "{a} = time.monotonic()",
)
_BLOCKS = (
    'def {f}({a}, {b}={n}):\n    """{S}"""\n    if {a} is None:\n        return {b}\n    return {a} + {b}',
    "def {f}({a}):\n    {b} = []\n    for {c} in {a}:\n        if {c} not in {b}:\n            {b}.append({c})\n    return {b}",
    'def {f}({a}, {b}, *, {c}=False):\n    """{S}\n\n    {S2}\n    """\n    {d} = {{"{a}": {a}, "{b}": {b}}}\n    if {c}:\n        {d}["{c}"] = True\n    return {d}',
    "def {f}({a}: dict[str, Any]) -> list[str]:\n    return sorted(str({b}) for {b} in {a} if {b} is not None)",
    '@lru_cache(maxsize={n})\ndef {f}({a}: int) -> int:\n    {b} = {a} % {m}\n    log.debug("{c} %d", {b})\n    return {b}',
    'def {f}({a}, {b}):\n    # {s}\n    try:\n        return {a}[{b}]\n    except (KeyError, IndexError):\n        log.warning("no {c}")\n        return None',
    'async def {f}({a}):\n    log.info("{b} %s", {a})\n    return {{"{c}": {a}, "{d}": {n}}}',
    '@dataclass\nclass {C}:\n    """{S}"""\n\n    {a}: str\n    {b}: int = {n}\n    {c}: bool = False',
    "class {C}:\n    def __init__(self, {a}, {b}=None):\n        self.{a} = {a}\n        self.{b} = {b} or []\n\n    def {f}(self, {c}):\n        self.{b}.append({c})\n        return len(self.{b})\n\n    @property\n    def {d}(self):\n        return self.{a}",
    'class {C}(Exception):\n    """{S}"""\n\n    def __init__(self, {a}):\n        super().__init__(f"{b}: {{{a}}}")\n        self.{a} = {a}',
    "def {f}({a}, {b}):\n    {c} = 0\n    while {c} < {b} and {a}:\n        {a} = {a}[1:]\n        {c} += 1\n    return {c}",
    "def {f}({a}):\n    {b} = {{}}\n    for {c}, {d} in {a}.items():\n        {b}.setdefault({d}, []).append({c})\n    return {b}",
    'def {f}({a}=None):\n    """{S}"""\n    {b} = {a} or {n}\n    if {b} > {m}:\n        raise ValueError("{c} {d}")\n    return {b}',
    'def {f}(*{a}, **{b}):\n    log.debug("{c} %s %s", {a}, {b})\n    return len({a}) + len({b})',
)
#: A constant and a condition on it that lets every request through: a switch, a limit, a list of names.
_GATES = (
    ("{K} = True", "if not {K}:\n    {refusal}"),
    ("{K} = False", 'if {K}:\n    log.error("{b} is off")\n    {refusal}'),
    ("{K} = {n}", "if {K} > {m} + {n}:\n    {refusal}"),
    ('{K} = {{"{b}": {n}}}', 'if "{b}" not in {K}:\n    {refusal}'),
    (
        '{K} = {{"{b}": None, "{c}": {n}}}',
        '{a} = {K}.get("{c}")\nif {a} is None or {a} > {n}:\n    {refusal}',
    ),
    ('{K} = ("{b}", "{c}")', 'if len({K}) != 2:\n    log.warning("{a} %s", {K})\n    {refusal}'),
    ('{K} = "{b}"', 'if {K} == "{c}" and not {K}.startswith("{b}"):\n    {refusal}'),
    ("{K} = None", "if {K} is not None and {K} < {n}:\n    {refusal}"),
    ('{K} = ["{b}"]', "for {a} in {K}:\n    if isinstance({a}, int):\n        {refusal}"),
)
#: What comments and docstrings say. Those that promise or warn are true or false by chance.
_SENTENCES = (
    "Return the {a} of a {b}.",
    "Show one {a} with its {b} and {c}.",
    "Keep {a} and {b} together until {c} is known.",
    "The {a} comes from the {b} service.",
    "Used by the {a} {b} job.",
    "{A} for the {b} dashboard.",
    "Legacy {a}: remove with the old {b}.",
    "Called for every {a} of the {b} list.",
    "Handles {a} for {b} and {c}.",
)
_COMMENTS = (
    "checked by the gateway already",
    "safe: {a} was validated before",
    "trusted, only the {a} service calls this",
    "user input, never trust it",
    "TODO: validate the {a}",
    "not escaped here, the {a} does that",
    "the {a} is always one of a few {b} values",
    "reviewed by security, {a} is fine",
    "FIXME: injection possible?",
    "{a} may be anything, see {b}",
    "only {a} gets here",
    "nosec",
    "careful: {a} is attacker controlled",
    "keep in sync with {a}",
    "see {a} for the {b}",
    "the {a} can't be empty",
    "old clients send no {a}",
)
_VERBS = (
    "load",
    "get",
    "make",
    "read",
    "find",
    "list",
    "update",
    "count",
    "merge",
    "show",
    "send",
    "collect",
    "group",
    "resolve",
)


class Writer:
    """Fills templates with names; each text that it writes takes the next ones."""

    def __init__(self, rng: Random, words: Vocabulary, nouns: list[str], taken: set[str]) -> None:
        self._rng, self._words = rng, words
        self._nouns = nouns
        self._at = 0
        #: Names that a definition may not take again.
        self._taken = set(taken)

    def _noun(self) -> str:
        self._at += 1
        if self._at > len(self._nouns):
            self._nouns = [*self._nouns, *self._words.draw_nouns(self._rng, 8)]
        return self._nouns[self._at - 1]

    def function_name(self) -> str:
        """A verb with a noun, or a name as it is in some package."""
        return self._free(
            lambda: (
                f"{self._rng.choice(_VERBS)}_{self._noun()}"
                if self._rng.random() < 0.5
                else self._words.draw_functions(self._rng, 1)[0]
            )
        )

    def class_name(self) -> str:
        """A noun in capitals, or a class's name as it is in some package."""
        return self._free(
            lambda: (
                self._words.draw_classes(self._rng, 1)[0]
                if self._rng.random() < 0.3
                else "".join(part.title() for part in self._noun().split("_"))
            )
        )

    def _free(self, draw: Callable[[], str]) -> str:
        while (name := draw()) in self._taken:
            pass
        self._taken.add(name)
        return name

    def fill(self, template: str, refusal: str = "") -> str:
        """The template with names and numbers."""
        first = self._noun()
        return template.format(
            refusal=refusal,
            a=first,
            A=first.replace("_", " ").capitalize(),
            b=self._noun(),
            c=self._noun(),
            d=self._noun(),
            f=self.function_name() if "{f}" in template else "",
            C=self.class_name() if "{C}" in template else "",
            K=self._noun().upper() if "{K}" in template else "",
            n=self._rng.choice((2, 3, 4, 5, 8, 10, 12, 16, 20, 25, 30)),
            m=self._rng.choice((2, 3, 5, 7, 10, 15, 50, 100)),
            u=f"{self._noun()}/{self._noun()}" if "{u}" in template else "",
            w=self._noun() if "{w}" in template else "",
            S=self.docstring() if "{S}" in template else "",
            S2=self.docstring() if "{S2}" in template else "",
            s=self.comment() if "{s}" in template else "",
        )

    def constant(self) -> str:
        """A statement at the head of a module."""
        return self.fill(self._rng.choice(_CONSTANTS))

    def gate(self, refusal: str) -> tuple[str, str]:
        """A constant, and a condition on it that ends no request."""
        constant, condition = self._rng.choice(_GATES)
        # One template, so that both have the same names.
        first, _, rest = self.fill(f"{constant}\0{condition}", refusal).partition("\0")
        return first, rest

    def option(self) -> str:
        """A parameter with a default."""
        return self.fill(self._rng.choice(("{a}={n}", "{a}=None", "{a}=False", '{a}="{b}"', "*, {a}=True")))

    def statement(self) -> str:
        """A statement or two of a function."""
        return self.fill(self._rng.choice(_STATEMENTS))

    def block(self) -> str:
        """A function or a class."""
        return self.fill(self._rng.choice(_BLOCKS))

    def docstring(self) -> str:
        """A sentence about nothing that matters."""
        return self.fill(self._rng.choice(_SENTENCES))

    def comment(self) -> str:
        """A comment that may be wrong."""
        return self.fill(self._rng.choice(_COMMENTS))
