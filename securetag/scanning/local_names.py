"""Short names instead of a program's own: a reader of the code decides by what flows where, not by words.

A function that calls itself `sanitize`, or a parameter `already_checked`, tells a small model more than it
should, and attackers choose names. The names that the shown lines bind become letters in the order in which
they first appear: variables `a`, `b`, functions `f`, `g`, classes `C`, `D`. A name that the lines don't
bind, such as an imported function, stays, since it says what happens. Line breaks stay where they are.

It reads text and not a syntax tree, since a slice with lines left out has none. What it takes for a name
wrongly is renamed everywhere alike.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence

__all__ = ["rename_locals"]

_NAME = r"(?:[^\W\d]|\$)[\w$]*"
#: Not the `f` of an f-string, and not the `d` of `\d`.
_IDENTIFIER = re.compile(rf"(?<![\w$\\])(?![fFbBrRuU]{{1,2}}[\"'])({_NAME})")
#: Words of the two languages, and names that say what a value is by a framework's convention.
_KEPT = frozenset(keyword.kwlist) | {
    *("self", "cls", "this", "super", "constructor", "_", "require"),
    *("switch", "catch", "function", "new", "typeof", "case", "const", "let", "var", "null", "undefined"),
    *("request", "req", "response", "res", "ctx", "context", "event", "next"),
    # A view's methods, and methods of what a request or a library holds.
    *("get", "post", "put", "patch", "delete", "head", "options"),
}
_SELF = frozenset({"self", "cls", "this"})
_FUNCTION = re.compile(rf"\b(?:def|function\*?)\s+({_NAME})\s*\(")
_METHOD = re.compile(
    rf"(?m)^\s*(?:(?:public|private|protected|static|async)\s+)*({_NAME})\s*\([^()\n]*\)[^;\n]*\{{\s*$"
)
_CLASS = re.compile(rf"\b(?:class|interface|enum)\s+({_NAME})")
#: Where parameters begin: after `def name` or `function name`, and the single ones of lambdas and arrows.
_PARAMETERS = re.compile(rf"\b(?:def|function\*?)\s*(?:{_NAME})?\s*\(")
_ARROW = re.compile(rf"\(([^()\n]*)\)(?:\s*:\s*[\w<>\[\]|. ]+)?\s*=>|({_NAME})\s*=>")
_LAMBDA = re.compile(r"\blambda\s+([^:\n]+):")
_PARAMETER = re.compile(rf"^[\s*.{{\[]*({_NAME})")
#: What stands between a variable and its value: a type, which may be a string or have brackets.
_TYPE = r"""(?:[^=\n:"'\[\]]|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\[(?:[^\[\]\n]|\[[^\[\]\n]*\])*\])+"""
#: `a, b = …`, `a: int = …`, `a += …` at the beginning of a statement. Without a space it may be an
#: argument on a line of its own.
_ASSIGNED = re.compile(
    rf"(?m)^[ \t]*({_NAME}(?:\s*,\s*\*?{_NAME})*)(?:\s*:{_TYPE})?\s+(?:[-+|&*/%]|//|\?\?|\|\|)?=(?![=>])"
)
_DECLARED = re.compile(rf"\b(?:const|let|var)\s+({_NAME}|[{{\[][^}}\]\n]*[}}\]])\s*(?::[^=\n]+)?(=?[^\n]*)")
_BOUND = re.compile(rf"\bfor\s+(?!\()\(?({_NAME}(?:\s*,\s*{_NAME})*)|\bas\s+({_NAME})")
_WALRUS = re.compile(rf"({_NAME})\s*:=")
_CAUGHT = re.compile(rf"\bcatch\s*\(\s*({_NAME})")
_BRACKET = re.compile(r"[()\[\]{}]")
#: What separates parameters, and the brackets within which it doesn't.
_SEPARATOR = re.compile(r"[,()\[\]<>]")
_IMPORT = re.compile(r"^\s*(?:import|from)\b")
#: A literal; the words of one that is no f-string aren't code.
_STRING = re.compile(r"""(?<![\w$])([a-zA-Z]{0,2})(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""")
#: What comes before an attribute: the object itself or a class, with or without a call, or a variable.
_OWNER = re.compile(rf"(?:^|[^\w$.)\]])(?:new\s+)?({_NAME})(?:\(\))?\.$")
#: A keyword argument belongs to the function that is called.
_KEYWORD = re.compile(rf"(?:(?<=[(,\s])|^)({_NAME})=(?!=)")
#: A path without a place for a value says nothing of a flow.
_ROUTE = re.compile(r"""(["'])/[^"'<{:]*\1""")

#: Without `s`: `<s>` is a control token of some models.
_VARIABLES = "abcdemnpqrtuvwxyz"
_FUNCTIONS = "fghjkl"
_CLASSES = "CDEFGH"


def rename_locals(lines: Sequence[str]) -> list[str]:
    """Return the lines with the names that they bind replaced by letters, and routes by `/`.

    Code that is equal but for names is equal after, where no string repeats a name: a string's words are
    renamed too, since those of an f-string or a template may be code. The result has as many lines.
    """
    text = "\n".join(lines)
    functions = {match[1] for pattern in (_FUNCTION, _METHOD) for match in pattern.finditer(text)} - _KEPT
    classes = {match[1] for match in _CLASS.finditer(text)} - _KEPT
    variables = set(_list_variables(text)) - functions - classes - _KEPT
    letters = [
        (functions, _FUNCTIONS),
        (classes, _CLASSES),
        (variables, _VARIABLES),
    ]
    code = _STRING.sub(lambda match: match[0] if "f" in match[1].lower() else '""', text)
    bound = functions | classes | variables
    taken = set(_IDENTIFIER.findall(code)) - bound
    owners = classes | variables | _SELF
    names: dict[str, str] = {}
    supplies = [_supply(pool, taken) for _, pool in letters]
    renamed = []
    for line in lines:
        is_head = _PARAMETERS.search(line) is not None
        keywords = set() if is_head or _IMPORT.match(line) else {m.start(1) for m in _keywords(line)}

        def replace(match: re.Match[str], line: str = line, keywords: set[int] = keywords) -> str:
            name, at = match[0], match.start()
            if name not in bound or at in keywords:
                return name
            if line[at - 1 : at] == "." and line[at - 3 : at] != "...":
                owner = _OWNER.search(line[:at])
                if name not in functions or owner is None or owner[1] not in owners:
                    return name
            for (members, _), supply in zip(letters, supplies, strict=True):
                if name in members:
                    if name not in names:
                        names[name] = next(supply)
                    return names[name]
            return name

        text = _IDENTIFIER.sub(replace, line)
        renamed.append(_ROUTE.sub(r"\1/\1", text) if text.lstrip().startswith("@") else text)
    return renamed


def _keywords(line: str) -> Iterator[re.Match[str]]:
    """Yield the keyword arguments of the calls in a line, which may have begun on a line before."""
    if "=" not in line:
        return
    is_continued = line.rstrip().endswith(",") or line.count(")") > line.count("(")
    for match in _KEYWORD.finditer(line):
        before = line[: match.start()]
        if is_continued or before.count("(") > before.count(")"):
            yield match


def _list_variables(text: str) -> Iterator[str]:
    for match in _PARAMETERS.finditer(text):
        yield from _read_parameters(_inside(text, match.end()))
    if "=>" in text:  # these two patterns try every name
        for match in _ARROW.finditer(text):
            yield from _read_parameters(match[1] if match[1] is not None else match[2])
    for match in _LAMBDA.finditer(text):
        yield from _read_parameters(match[1])
    for match in _ASSIGNED.finditer(text):
        yield from _IDENTIFIER.findall(match[1])
    for match in _DECLARED.finditer(text):
        # A module keeps its name: what is called of it says what happens.
        if "require(" not in match[2]:
            yield from _IDENTIFIER.findall(match[1])
    for line in text.split("\n"):
        if not _IMPORT.match(line):
            for match in _BOUND.finditer(line):
                yield from _IDENTIFIER.findall(match[1] or match[2])
            if ":=" in line:
                for match in _WALRUS.finditer(line):
                    yield from _IDENTIFIER.findall(match[1])
    for match in _CAUGHT.finditer(text):
        yield match[1]


def _inside(text: str, start: int) -> str:
    """Return what stands between a parenthesis, open before `start`, and the one that closes it."""
    depth = 1
    for bracket in _BRACKET.finditer(text, start):
        depth += 1 if bracket[0] in "([{" else -1
        if not depth:
            return text[start : bracket.start()]
    return text[start:].split("\n", 1)[0]


def _read_parameters(text: str) -> Iterator[str]:
    """Yield the names of parameters: the first of each piece between commas outside of brackets."""
    depth, start = 0, 0
    for separator in _SEPARATOR.finditer(text + ","):
        if separator[0] != ",":
            depth += 1 if separator[0] in "([<" else -1
        elif depth <= 0:
            if match := _PARAMETER.match(text[start : separator.start()]):
                yield match[1]
            start = separator.end()


def _supply(pool: str, taken: set[str]) -> Iterator[str]:
    """Yield the letters of `pool` that no other name uses, then the same with numbers."""
    round_ = 0
    while True:
        for letter in pool:
            name = f"{letter}{round_ or ''}"
            if name not in taken:
                yield name
        round_ += 1
