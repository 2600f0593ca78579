"""The forms in which rows are compared: prose, code, code under other names, passages.

What every row of a kind shares says nothing about it and is left out: the system prompt, the line that
names a finding's class and place, the verdict as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from securetag.records import Example, Task
from securetag.triage import read_code

_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_TOKEN = re.compile(
    r"""(?P<string>[rbfuRBFU]{0,2}(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`))"""
    r"""|(?P<name>[^\W\d]\w*)|(?P<number>\d[\w.]*)|(?P<mark>[=!<>:+\-*/%&|^]=|[^\w\s])"""
)
#: From the start of a line or a space on: `#` in a string or `//` in an address begins no comment.
_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))(?:#|//)(?:\s[^\n]*)?$")
_WORD = re.compile(r"[^\W\d]\w*")
_BRACED = re.compile(r"\{[^{}]*\}")
_DEFINES = frozenset({"def", "function", "func", "fn"})
_BINDS = frozenset({"for", "as", "const", "let", "var", "class"}) | _DEFINES
_ASSIGNS = frozenset({"=", ":=", "+=", "-=", "|=", "%="})
#: Of a text's characters, the share of `(){}[];=` from which its lines are taken for code.
_CODE_SHARE = 0.03


class Passage(msgspec.Struct, frozen=True):
    """A part of a row that means something by itself."""

    text: str
    code: bool = False
    #: A question is the same question at any length; a short answer (`CWE-79`) answers many.
    question: bool = False


def code_of(example: Example) -> str:
    """The code that a triage row asks about, as it was rendered; empty where there is none."""
    return read_code(example.messages, example.prompt_version)


def prose_of(example: Example) -> str:
    """Everything said in a row but the system prompt."""
    return "\n".join(message.content for message in example.messages if message.role != "system")


def split_into_passages(example: Example) -> list[Passage]:
    """Return the parts of a row that are compared with others: question, answer, every block of code."""
    if example.task is Task.TRIAGE:
        return [Passage(code_of(example), code=True, question=True)]
    all_parts = [
        part
        for message in example.messages
        if message.role != "system"
        for part in split_text(message.content, question=message.role == "user")
    ]
    return all_parts


def split_text(text: str, *, question: bool = False) -> Iterator[Passage]:
    """A text's code blocks, and its prose; a text that is code as a whole is one block."""
    if "```" not in text:
        if text.strip():
            yield Passage(text, code=_looks_like_code(text), question=question)
        return
    for match in _FENCE.finditer(text):
        yield Passage(match[1], code=True)
    # With its block taken out, a question is what a hundred others are (`Make this code safe.`).
    prose = text if question else _FENCE.sub(" ", text)
    if prose.strip():
        yield Passage(prose, question=question)


def iter_texts(value: object) -> Iterator[str]:
    """Every text in a JSON value, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from iter_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from iter_texts(inner)


def _looks_like_code(text: str) -> bool:
    return "\n" in text.strip() and sum(map(text.count, "(){}[];=")) > _CODE_SHARE * len(text)


def rename_variables(code: str) -> str:
    """Code with comments gone and the names that it binds itself numbered, as tokens between spaces.

    Functions, parameters, variables and loop variables become `v0`, `v1`, … in order of appearance;
    what comes from outside (modules, attributes, keywords) and what strings say stay. One lexer serves
    Python, JavaScript and their like: two functions that differ in a name or a guard's call differ here
    in nothing or in that call.
    """
    tokens = [(m.lastgroup or "", m[0]) for m in _TOKEN.finditer(_COMMENT.sub("", code))]
    names: dict[str, str] = {}
    for name in _bound(tokens):
        names.setdefault(name, f"v{len(names)}")
    out: list[str] = []
    for place, (kind, token) in enumerate(tokens):
        if kind == "name" and (place == 0 or tokens[place - 1][1] != "."):
            out.append(names.get(token, token))
        elif kind == "string" and "{" in token:
            # An f-string or a template names variables inside braces.
            out.append(_BRACED.sub(lambda m: _WORD.sub(lambda w: names.get(w[0], w[0]), m[0]), token))
        else:
            out.append(token)
    return " ".join(out)


def _bound(tokens: list[tuple[str, str]]) -> Iterator[str]:
    """Names that the code defines or assigns, in order; a name may come again."""
    depth = 0  # of the parentheses of a parameter list; 0 outside of one
    for place, (kind, token) in enumerate(tokens):
        before = tokens[place - 1][1] if place else ""
        after = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if depth:
            depth += {"(": 1, ")": -1}.get(token, 0)
            if kind == "name" and before in {"(", ",", "*"} and after in {",", ")", ":", "="}:
                yield token
        elif kind == "name" and before != "." and (before in _BINDS or after in _ASSIGNS):
            yield token
        if token == "(" and place > 1 and tokens[place - 2][1] in _DEFINES:
            depth = 1
