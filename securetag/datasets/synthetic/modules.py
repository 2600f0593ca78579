"""The module around a handler: imports, constants, classes, helpers, decorators, comments, other handlers.

What is around is a function of the plan, so both functions of a pair have the same, and nothing of it says
anything about the label. Comments promise safety or warn of danger by chance.
"""

from __future__ import annotations

import re
from random import Random
from typing import Literal

import msgspec

from securetag.datasets.synthetic import filler, imports
from securetag.datasets.synthetic.frameworks import Framework
from securetag.datasets.synthetic.vocabulary import Vocabulary

#: Part of a case that a line carries.
Role = Literal["source", "guard", "sink"]
#: Depth of indentation, text, and the line's part if it has one.
Line = tuple[int, str, Role | None]

#: Lines of a module: most are 15 to 60 long.
MIN_LINES, MAX_LINES = 12, 62


class Core(msgspec.Struct, frozen=True, kw_only=True):
    """A handler and what it calls: the part that decides."""

    #: Functions, classes and constants before the handler.
    before: list[Line]
    header: str
    #: Name of the decorator that holds the guard; empty where none does.
    decorator: str
    body: list[Line]
    #: Lines of the body that read the request; other statements may follow them.
    read: int
    #: The handler's decorators where they are a part of the case, and what its first line is.
    route: list[Line] = []
    header_role: Role | None = None
    #: Statements at the module's end.
    after: list[Line] = []


class Scaffold(msgspec.Struct, frozen=True, kw_only=True):
    """What is written around a handler. Texts of several lines are indented by themselves."""

    docstring: str
    has_imports: bool
    #: Statements at the head of the module, after the imports.
    constants: tuple[str, ...]
    blocks: tuple[str, ...]
    #: Name of the class where the framework's handlers are methods, and of its parent.
    class_name: str
    parent: str
    decorators: tuple[str, ...]
    handler_docstring: str
    #: Statements before the request is read, and after.
    first: tuple[str, ...]
    then: tuple[str, ...]
    #: Comments above the sink and above the line that carries the guard.
    comments: dict[str, str]
    last_blocks: tuple[str, ...]
    #: Does the author write `'` where `"` would do, and the types of parameters?
    is_single_quoted: bool = False
    is_typed: bool = False
    #: A parameter with a default that the function with the sink has too; empty: none.
    option: str = ""


#: Chance that a function of a framework with routes is decorated: of 131 real slices of Python a fifth has
#: a decorator. Others are registered elsewhere.
_DECORATED = 0.25
#: Conditions before the sink that have nothing to do with the value, at most. With four, half of our slices
#: had 17 lines or more (of real ones 22), and a compact row was 1.7 times as long to train on.
_MAX_GATES = 1


def draw_scaffold(
    rng: Random, words: Vocabulary, framework: Framework, core_names: set[str], refusal: str
) -> Scaffold:
    """Return a seeded scaffold that defines none of `core_names`, which the handler uses.

    `refusal` is the statement by which the handler ends a request.
    """
    target = MIN_LINES + round((MAX_LINES - MIN_LINES) * rng.betavariate(1.3, 2.1))
    capitals = {"".join(part.title() for part in name.split("_")) for name in core_names}
    nouns = [name for name in words.draw_nouns(rng, 60) if name not in core_names]
    write = filler.Writer(rng, words, nouns, core_names | capitals | imports.importable_names())
    is_method = "self" in framework.header
    style = filler.STYLES[framework.name]
    is_decorated = not is_method and rng.random() < _DECORATED
    decorators = tuple(write.fill(text) for text in style.decorators) if is_decorated else ()
    setup = [] if is_method else [write.fill(text) for text in style.setup]
    lines = 14
    first: list[str] = []
    then: list[str] = []
    constants = [
        "log = logging.getLogger(__name__)",
        *setup,
        *(write.constant() for _ in range(rng.randrange(3))),
    ]
    for _ in range(rng.randint(0, _MAX_GATES)):
        constant, gate = write.gate(refusal)
        constants.append(constant)
        (first if rng.random() < 0.5 else then).append(gate)
        lines += gate.count("\n") + 2
    blocks: list[str] = []
    last_blocks: list[str] = []
    while lines < target:
        choice = rng.random()
        if choice < 0.42:
            block = write.block()
            (blocks if rng.random() < 0.75 else last_blocks).append(block)
            lines += block.count("\n") + 3
        elif choice < 0.6:
            constants.append(write.constant())
            lines += 1
        else:
            statement = write.statement()
            (first if rng.random() < 0.4 else then).append(statement)
            lines += statement.count("\n") + 1
    return Scaffold(
        docstring=write.docstring() if rng.random() < 0.5 else "",
        has_imports=rng.random() < 0.92,
        constants=tuple(constants),
        blocks=tuple(blocks),
        class_name=write.class_name() + (style.suffix or ("View" if framework.view_parent else "")),
        parent=style.parent or framework.view_parent,
        decorators=decorators,
        handler_docstring=write.docstring() if rng.random() < 0.45 else "",
        first=tuple(first),
        then=tuple(then),
        comments={role: write.comment() for role in ("source", "guard", "sink") if rng.random() < 0.28},
        last_blocks=tuple(last_blocks),
        is_single_quoted=rng.random() < 0.5,
        is_typed=rng.random() < 0.35,
        option=write.option() if rng.random() < 0.5 else "",
    )


_STRING = re.compile(r"\"\"\"[\s\S]*?\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?P<text>(?:\\.|[^\"\\\n])*)\"|#[^\n]*")


def use_single_quotes(code: str) -> str:
    """Return the code with `'` around each string that holds neither quotes nor escapes."""

    def requote(match: re.Match[str]) -> str:
        text = match["text"]
        return match[0] if text is None or "'" in text or "\\" in text else f"'{text}'"

    return _STRING.sub(requote, code)


def assemble(core: Core, framework: Framework, scaffold: Scaffold | None) -> tuple[list[Line], str]:
    """Return the module's lines and the path of its handler: `show`, or `ItemHandler.get`."""
    name = core.header[core.header.index("def ") + 4 : core.header.index("(")]
    mark: list[Line] = [(0, f"@{core.decorator}", None)] if core.decorator else core.route
    head: Line = (0, core.header, core.header_role)
    if scaffold is None:
        return [*core.before, *mark, head, *core.body, *core.after], name
    handler: list[Line] = [
        *((0, text, None) for text in scaffold.decorators if not core.route and not core.after),
        *mark,
        head,
    ]
    if scaffold.handler_docstring:
        handler.append((1, f'"""{scaffold.handler_docstring}"""', None))
    for text in scaffold.first:
        handler += _lines(text, 1)
    handler += _commented(core.body[: core.read], scaffold)
    # What follows the reading is in the same loop.
    depth = 2 if framework.loop else 1
    for text in scaffold.then:
        handler += _lines(text, depth)
    handler += _commented(core.body[core.read :], scaffold)
    entry = name
    if "self" in core.header:
        handler = [
            (0, f"class {scaffold.class_name}{scaffold.parent}:", None),
            *((depth + 1, text, role) for depth, text, role in handler),
        ]
        entry = f"{scaffold.class_name}.{name}"
    rest: list[Line] = []
    for text in scaffold.constants:
        rest += _lines(text, 0)
    definitions = [[*_group] for _group in _definitions(_commented(core.before, scaffold))]
    for part in [*(_lines(block, 0) for block in scaffold.blocks), *definitions, handler]:
        rest += [(0, "", None), (0, "", None), *part]
    for block in scaffold.last_blocks:
        rest += [(0, "", None), (0, "", None), *_lines(block, 0)]
    if core.after:
        rest += [(0, "", None), (0, "", None), *core.after]
    top: list[Line] = [(0, f'"""{scaffold.docstring}"""', None)] if scaffold.docstring else []
    if scaffold.has_imports:
        code = "\n".join(text for _, text, _ in rest)
        top += [(0, text, None) for text in imports.list_imports(code, framework.name)]
    if top:
        top.append((0, "", None))
    return [*top, *rest], entry


def _lines(text: str, depth: int) -> list[Line]:
    return [(depth + (len(line) - len(line.lstrip())) // 4, line.strip(), None) for line in text.split("\n")]


def _commented(lines: list[Line], scaffold: Scaffold) -> list[Line]:
    """The lines, with a comment above the first of each role that has one."""
    commented: list[Line] = []
    seen: set[str] = set()
    for depth, text, role in lines:
        comment = scaffold.comments.get(role) if role else None
        # Nothing may come between the parts of a compound statement.
        if comment and role not in seen and not re.match(r"(else|elif|except|case|finally)\b", text):
            commented.append((depth, f"# {comment}", None))
        if role:
            seen.add(role)
        commented.append((depth, text, role))
    return commented


def _definitions(lines: list[Line]) -> list[list[Line]]:
    """Split lines where a definition or a constant begins that no decorator or comment precedes."""
    groups: list[list[Line]] = []
    for line in lines:
        depth = line[0]
        follows = groups and re.match(r"[@#]", groups[-1][-1][1]) and groups[-1][-1][0] == 0
        if depth == 0 and not follows:
            groups.append([])
        groups[-1].append(line)
    return groups
