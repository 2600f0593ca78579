"""Find the functions and classes of a file: by indentation in Python, by braces elsewhere.

It works on tokens, so a file that doesn't parse has scopes too. The result agrees with Python's own
parser on code that does (a test compares them over the standard library).
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from securetag.scanning.identity.lex import Token, family, tokens

_OPEN = {"(": ")", "[": "]", "{": "}"}
_CLOSE = {")": "(", "]": "[", "}": "{"}
#: Open brackets, or definitions, around a scope that is still told apart; deeper code was made to exhaust us.
MAX_DEPTH = 100
MAX_NAME = 300
_BLOCKS = frozenset({"if", "for", "while", "switch", "catch", "with", "do", "else", "try", "finally"})
_MODIFIERS = frozenset({"async", "static", "get", "set", "export", "default", "public", "private", "*"})
_STATEMENTS = frozenset(
    {
        "const",
        "let",
        "var",
        "function",
        "class",
        "return",
        "if",
        "for",
        "while",
        "import",
        "export",
        "module",
        "async",
    }
)


@dataclass(frozen=True)
class Scope:
    """A function or class with its lines, decorators included; 1-based, inclusive."""

    kind: Literal["function", "class"]
    #: Qualified: `Shop.search`. A nameless JavaScript callback is named after its call, `app.get("/")`, and
    #: has that call's lines.
    name: str
    first: int
    last: int


def scopes(code: str, language: str) -> list[Scope]:
    """Every function and class, outer before inner."""
    kind = family(language)
    stream = list(tokens(code, kind))
    result = _indented(stream) if kind == "python" else _braced(stream)
    return sorted(result, key=lambda scope: (scope.first, -scope.last))


def enclosing(candidates: Sequence[Scope], first: int, last: int) -> Scope | None:
    """The innermost scope that holds all the lines; None at module level."""
    place = bisect.bisect_right(candidates, first, key=lambda scope: scope.first)
    # Scopes nest, so the one that begins last of those that hold the lines is the innermost.
    return next((scope for scope in reversed(candidates[:place]) if scope.last >= last), None)


def _indented(stream: Sequence[Token]) -> list[Scope]:
    """Python: a scope lasts while logical lines are indented deeper than its `def` or `class`."""
    done: list[Scope] = []
    open_: list[tuple[Scope, int]] = []
    depth = last = decorated = 0
    for place, token in enumerate(stream):
        keyword = _definition(stream, place) if token.leads else None
        if keyword:
            depth = 0  # no definition is inside brackets: an earlier one is unbalanced
        if token.leads and depth == 0:
            while open_ and token.indent <= open_[-1][1]:
                done.append(replace(open_.pop()[0], last=last))
            if token.text == "@" and not decorated:
                decorated = token.line
            elif keyword:
                kind, name = keyword
                outer = f"{open_[-1][0].name}." if open_ else ""
                scope = Scope(kind, (outer + name)[:MAX_NAME], decorated or token.line, 0)
                open_.append((scope, token.indent))
                decorated = 0
            elif token.text != "@":
                decorated = 0
        depth = (
            max(0, depth + (token.text in _OPEN) - (token.text in _CLOSE))
            if token.kind == "symbol"
            else depth
        )
        last = token.last
    done.extend(replace(scope, last=last) for scope, _ in open_)
    return done


def _definition(stream: Sequence[Token], place: int) -> tuple[Literal["function", "class"], str] | None:
    words = [token.text for token in stream[place : place + 3]]
    if words[:1] == ["async"]:
        words = words[1:]
    if len(words) > 1 and words[0] in {"def", "class"} and words[1].isidentifier():
        return ("function" if words[0] == "def" else "class"), words[1]
    return None


@dataclass
class _Frame:
    """An open bracket, or the body of an arrow function without braces (`bracket` is `=>`)."""

    bracket: str
    #: Index of the token that opened it.
    place: int
    scope: Scope | None = None
    #: Those of its functions that ended: directly within parentheses they last until these close.
    functions: list[Scope] = field(default_factory=list)


def _braced(stream: Sequence[Token]) -> list[Scope]:
    done: list[Scope] = []
    stack: list[_Frame] = []
    pairs: dict[int, int] = {}
    waiting: Counter[str] = Counter()

    def close(frame: _Frame, line: int) -> None:
        done.extend(replace(scope, last=line) for scope in frame.functions)
        if frame.scope is None:
            return
        outer = next((it for it in reversed(stack) if it.bracket != "=>"), None)
        if outer and outer.bracket == "(":
            # A formatter decides on which line the call's own bracket is.
            outer.functions.append(frame.scope)
        else:
            done.append(replace(frame.scope, last=line))

    for place, token in enumerate(stream):
        if token.kind == "string":
            continue
        before = stream[place - 1].last if place else 1
        ends = token.text in _CLOSE or token.text in {",", ";"} or (token.leads and token.text in _STATEMENTS)
        while ends and stack and stack[-1].bracket == "=>":
            close(stack.pop(), before)
        if token.text in _OPEN:
            named = token.text == "{" and len(stack) < MAX_DEPTH
            scope = _opened(stream, place, pairs, stack) if named else None
            stack.append(_Frame(token.text, place, scope))
            waiting[token.text] += 1
        elif token.text in _CLOSE:
            if waiting[_CLOSE[token.text]]:
                while stack:
                    frame = stack.pop()
                    waiting[frame.bracket] -= 1
                    close(frame, token.line)
                    if frame.bracket == _CLOSE[token.text]:
                        pairs[place] = frame.place
                        break
        elif token.text == "=>" and stream[place + 1 : place + 2] and stream[place + 1].text != "{":
            scope = _arrow(stream, place, pairs, stack) if len(stack) < MAX_DEPTH else None
            stack.append(_Frame("=>", place, scope))
    while stack:
        close(stack.pop(), stream[-1].last)
    return done


def _opened(
    stream: Sequence[Token], place: int, pairs: dict[int, int], stack: Sequence[_Frame]
) -> Scope | None:
    """The scope that `{` at `place` opens; None for a block or an object."""
    before = place - 1
    if before < 0:
        return None
    if stream[before].text == "=>":
        return _arrow(stream, before, pairs, stack)
    before = _skip_type(stream, before)
    if stream[before].text == ")" and before in pairs:
        head = pairs[before] - 1
        if head >= 0 and stream[head].kind == "word" and stream[head].text not in _BLOCKS:
            return _function(stream, head, stack)
        return None
    for back in range(place - 1, max(-1, place - 12), -1):
        if stream[back].text in {";", "{", "}", ")", "("}:
            return None
        if stream[back].text == "class":
            name = stream[back + 1].text
            if name in {"{", "extends"}:
                name = _bound_to(stream, back - 1, stack)[0]
            return _scope("class", name, stream[back].line, stack)
    return None


def _skip_type(stream: Sequence[Token], before: int) -> int:
    """From the token before `{` back over a TypeScript return type, `): Promise<X> {`, to its `)`."""
    for back in range(before, max(0, before - 12), -1):
        if stream[back].text == ":":
            return back - 1 if stream[back - 1].text == ")" else before
        if stream[back].kind != "word" and stream[back].text not in {"<", ">", "[", "]", "|", "&", "."}:
            break
    return before


def _function(stream: Sequence[Token], head: int, stack: Sequence[_Frame]) -> Scope | None:
    """`head` is the word before the parameters: `function`, or a name."""
    first = head
    while first > 0 and (stream[first - 1].text in _MODIFIERS or stream[first - 1].text == "function"):
        first -= 1
    named = stream[head].text != "function"
    if named:
        return _scope("function", stream[head].text, stream[first].line, stack)
    name, line = _bound_to(stream, first - 1, stack)
    return _scope("function", name, min(line, stream[first].line), stack)


def _arrow(
    stream: Sequence[Token], place: int, pairs: dict[int, int], stack: Sequence[_Frame]
) -> Scope | None:
    before = place - 1
    before = _skip_type(stream, before) if before >= 0 else before
    first = pairs.get(before, before)
    if first > 0 and stream[first - 1].text == "async":
        first -= 1
    if first < 0:
        return None
    name, line = _bound_to(stream, first - 1, stack)
    return _scope("function", name, min(line, stream[first].line), stack)


def _bound_to(stream: Sequence[Token], before: int, stack: Sequence[_Frame]) -> tuple[str, int]:
    """What a nameless function is called after, from the token before it, and that name's line."""
    if before < 0:
        return "", stream[0].line if stream else 1
    if stream[before].text in {"=", ":"} and before > 0 and stream[before - 1].kind != "symbol":
        return stream[before - 1].text.strip("\"'`"), stream[before - 1].line
    call = next((frame for frame in reversed(stack) if frame.bracket != "=>"), None)
    if stream[before].text in {"(", ","} and call and call.bracket == "(":
        return _call_name(stream, call.place)
    return "", stream[before].line if stream[before].text == "(" else stream[before].last


def _call_name(stream: Sequence[Token], bracket: int) -> tuple[str, int]:
    """`app.get("/users")` for the call whose `(` is at `bracket`."""
    first = bracket
    while first > 0 and (stream[first - 1].text == "." or stream[first - 1].kind == "word"):
        if stream[first - 1].kind == "word" and first < bracket and stream[first].kind == "word":
            break
        first -= 1
    callee = "".join(token.text for token in stream[first:bracket])
    argument = stream[bracket + 1] if bracket + 1 < len(stream) else None
    if not callee:
        return "", stream[bracket].line
    if argument and argument.kind == "string" and len(argument.text) <= 80:
        return f'{callee}("{argument.text.strip(chr(34) + chr(39) + chr(96))}")', stream[first].line
    return f"{callee}()", stream[first].line


def _scope(kind: Literal["function", "class"], name: str, line: int, stack: Sequence[_Frame]) -> Scope:
    outer = next((frame.scope for frame in reversed(stack) if frame.scope), None)
    parts = [outer.name if outer else "", name]
    return Scope(kind, ".".join(part for part in parts if part)[:MAX_NAME], line, 0)
