"""What one snippet of Python, JavaScript or TypeScript holds, counted without parsing it."""

from __future__ import annotations

import keyword
import re

#: Strings and comments first, so that what is in them isn't counted as code.
_TOKEN = re.compile(
    r"(?P<comment>#[^\n]*|//[^\n]*|/\*.*?\*/)"
    r"|(?P<string>\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)"
    r"|(?P<name>[A-Za-z_$][\w$]*)|(?P<number>\d[\w.]*)|(?P<mark>[^\s\w])",
    re.DOTALL,
)
_IMPORT = re.compile(r"^\s*(?:from\s+\S+\s+import|import)\b|\brequire\s*\(", re.MULTILINE)
_DECORATOR = re.compile(r"^\s*@[A-Za-z_]", re.MULTILINE)
#: A name or a closing bracket before `(`, where it isn't a definition.
_CALL = re.compile(r"(?:(?<=[\])])|(?<!def )(?<!function )\b(?!(?:if|for|while|switch)\()[A-Za-z_$][\w$]*)\(")
#: Words that name nothing, in Python or JavaScript.
_KEYWORDS = frozenset(keyword.kwlist) | {
    *("function", "const", "let", "var", "new", "typeof", "instanceof", "case", "switch", "default", "catch"),
    *("throw", "null", "undefined", "true", "false", "this", "void", "do", "export", "extends", "static"),
}
#: Spaces that count as one level of nesting.
INDENT = 4

#: What `measure_code` counts, and how it is said.
MEASURES = {
    "lines": "lines with code",
    "tokens": "tokens",
    "identifiers": "distinct identifiers",
    "imports": "imports",
    "decorators": "decorators",
    "comments": "comments and docstrings",
    "calls": "calls",
    "nesting": "deepest indentation, in levels",
}


def measure_code(code: str) -> dict[str, int]:
    """Return the number of each of MEASURES in a snippet; all 0 for an empty one.

    Works on any text: code that was cut at a window's edge needn't parse. The language isn't asked for, so
    Python's `//` counts as the beginning of a comment.
    """
    identifiers: set[str] = set()
    tokens = comments = 0
    for match in _TOKEN.finditer(code):
        text = match.group()
        if match.lastgroup == "comment" or text.startswith(('"""', "'''")):
            comments += 1
            continue
        tokens += 1
        if match.lastgroup == "name" and text not in _KEYWORDS:
            identifiers.add(text)
    lines = [line for line in code.expandtabs(INDENT).split("\n") if line.strip()]
    indents = [len(line) - len(line.lstrip()) for line in lines]
    return {
        "lines": len(lines),
        "tokens": tokens,
        "identifiers": len(identifiers),
        "imports": len(_IMPORT.findall(code)),
        "decorators": len(_DECORATOR.findall(code)),
        "comments": comments,
        "calls": len(_CALL.findall(code)),
        "nesting": (max(indents) - min(indents)) // INDENT if indents else 0,
    }
