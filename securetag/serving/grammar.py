"""A JSON schema as a llama.cpp grammar (GBNF) that leaves no room for whitespace.

llama.cpp turns a schema into a grammar by itself, but one that allows line breaks and indentation
between any two tokens of JSON. The base model then pretty-prints: the same verdict took 29 to 32
tokens instead of 19, and a compact answer may take 24, so every constrained answer was cut off.
Training rows are written without whitespace, so this grammar is also the form that tuned models know.

Format: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from securetag.records import JsonObject

#: Numbers in one range; a wider one would make a grammar that is slow to sample from.
_MOST_NUMBERS = 20_000
_STRING_CHARACTER = r'([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt/] | "u" [0-9a-fA-F]{4}))'
_KEYS = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "integer": {"minimum", "maximum"},
    "string": {"enum", "maxLength", "minLength"},
    "boolean": set[str](),
    "null": set[str](),
}


def gbnf(schema: JsonObject) -> str:
    """Return the grammar of `schema`: objects with all keys in the order of `properties`, no whitespace.

    Raises ValueError for what it can't say exactly (optional properties, `$ref`, patterns, …): a
    caller then leaves the schema to the server.
    """
    return f"root ::= {_rule(schema)}\n"


def _rule(schema: JsonObject) -> str:
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _KEYS:
        raise ValueError(f"no grammar for a schema of type {kind!r}")
    if unknown := set(schema) - _KEYS[kind] - {"type", "title", "description"}:
        raise ValueError(f"no grammar for {', '.join(sorted(unknown))} of {kind}")
    match kind:
        case "object":
            return _object(schema)
        case "array":
            return _array(schema)
        case "integer":
            return _integer(schema)
        case "string":
            return _string(schema)
        case "boolean":
            return '("true" | "false")'
    return '"null"'


def _object(schema: JsonObject) -> str:
    properties: JsonObject = schema.get("properties", {})
    if set(schema.get("required", ())) != set(properties) or schema.get("additionalProperties") is not False:
        raise ValueError("no grammar for an object with optional or further properties")
    pieces = [f"{_literal(_json(key) + ':')} {_rule(value)}" for key, value in properties.items()]
    return " ".join(['"{"', ' "," '.join(pieces), '"}"']) if pieces else '"{}"'


def _array(schema: JsonObject) -> str:
    least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
    item = _rule(schema["items"])
    if most is None or not 0 <= least <= int(most) or int(most) == 0:
        raise ValueError("no grammar for an array without bounds")
    further = f'{item} ("," {item}){{{max(0, least - 1)},{int(most) - 1}}}' if int(most) > 1 else item
    return f'"[" {further} "]"' if least else f'"[" ({further})? "]"'


def _integer(schema: JsonObject) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None or not 0 <= low <= high or high - low >= _MOST_NUMBERS:
        raise ValueError("no grammar for an integer without bounds")
    return f"({_numbers(frozenset(str(number) for number in range(low, high + 1)))})"


def _numbers(words: frozenset[str]) -> str:
    """Write decimal strings as alternatives; first digits with the same continuations share a class."""
    tails: dict[str, set[str]] = {}
    for word in words:
        if word:
            tails.setdefault(word[0], set()).add(word[1:])
    classes: dict[frozenset[str], list[str]] = {}
    for digit in sorted(tails):
        classes.setdefault(frozenset(tails[digit]), []).append(digit)
    alternatives = []
    for rest, digits in classes.items():
        first = f"[{''.join(digits)}]"
        longer = rest - {""}
        if not longer:
            alternatives.append(first)
        else:
            alternatives.append(f"{first} ({_numbers(longer)}){'?' if '' in rest else ''}")
    return " | ".join(alternatives)


def _string(schema: JsonObject) -> str:
    if "enum" in schema:
        if not schema["enum"]:
            raise ValueError("no grammar for an empty enumeration")
        return f"({' | '.join(_literal(_json(word)) for word in _words(schema['enum']))})"
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if most is not None and not 0 <= least <= int(most) <= 2000:  # llama.cpp repeats no more often
        raise ValueError("no grammar for a string of this length")
    return f'"\\"" {_STRING_CHARACTER}{{{least},{"" if most is None else int(most)}}} "\\""'


def _words(values: Sequence[object]) -> list[str]:
    words = [word for word in values if isinstance(word, str)]
    if len(words) != len(values):
        raise ValueError("no grammar for an enumeration of anything but text")
    return words


def _json(word: str) -> str:
    return json.dumps(word, ensure_ascii=True)


def _literal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
