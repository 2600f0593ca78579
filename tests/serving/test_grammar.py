"""Grammars say what the schema says, without whitespace."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securetag.records import JsonObject
from securetag.serving.grammar import gbnf

LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


def as_regex(grammar: str) -> re.Pattern[str]:
    """The one rule of our grammars as a regular expression (they hold no recursion)."""
    body = grammar.removeprefix("root ::= ").strip()
    out, at = "", 0
    while at < len(body):
        if found := LITERAL.match(body, at):
            out += re.escape(found[1].replace('\\"', '"').replace("\\\\", "\\"))
            at = found.end()
        elif body[at] == "[":
            end = body.index("]", at + 1)
            out += body[at : end + 1]
            at = end + 1
        else:
            out += "" if body[at] == " " else body[at]
            at += 1
    return re.compile(out)


@settings(max_examples=60)
@given(low=st.integers(0, 120), width=st.integers(0, 130), other=st.integers(0, 2000))
def test_numbers_are_exactly_those_of_the_range(low: int, width: int, other: int) -> None:
    rule = as_regex(gbnf({"type": "integer", "minimum": low, "maximum": low + width}))
    assert all(rule.fullmatch(str(number)) for number in range(low, low + width + 1))
    assert bool(rule.fullmatch(str(other))) == (low <= other <= low + width)
    assert not rule.fullmatch(f"0{low}1")


@settings(max_examples=60)
@given(
    least=st.integers(0, 3),
    more=st.integers(0, 3),
    lines=st.integers(1, 40),
    evidence=st.lists(st.integers(0, 50), max_size=7),
    verdict=st.sampled_from(["a b", 'q"', "\\", "é"]),
)
def test_what_is_accepted_is_what_the_schema_accepts(
    least: int, more: int, lines: int, evidence: list[int], verdict: str
) -> None:
    import jsonschema

    line = {"type": "integer", "minimum": 1, "maximum": lines}
    schema: JsonObject = {
        "type": "object",
        "properties": {
            "evidence": {"type": "array", "items": line, "minItems": least, "maxItems": max(1, least + more)},
            "verdict": {"type": "string", "enum": ["a b", 'q"', "\\"]},
        },
        "required": ["evidence", "verdict"],
        "additionalProperties": False,
    }
    answer = {"evidence": evidence, "verdict": verdict}
    valid = jsonschema.Draft202012Validator(schema).is_valid(answer)
    rule = as_regex(gbnf(schema))
    assert bool(rule.fullmatch(json.dumps(answer, separators=(",", ":")))) == valid
    assert not rule.fullmatch(json.dumps(answer))
    assert not rule.fullmatch(json.dumps({"verdict": verdict, "evidence": evidence}, separators=(",", ":")))


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "number"},
        {"type": ["string", "null"]},
        {"$ref": "#"},
        {"type": "string", "pattern": "a"},
        {"type": "string", "enum": []},
        {"type": "string", "enum": [1]},
        {"type": "string", "maxLength": 9999},
        {"type": "integer"},
        {"type": "integer", "minimum": 0, "maximum": 10**9},
        {"type": "array", "items": {"type": "null"}},
        {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False},
        {"type": "object", "properties": {}, "required": []},
    ],
    ids=[
        "no type",
        "number",
        "several types",
        "reference",
        "pattern",
        "empty enum",
        "enum of numbers",
        "long string",
        "unbounded integer",
        "wide integer",
        "unbounded array",
        "optional property",
        "further properties",
    ],
)
def test_what_it_can_not_say_exactly_is_left_to_the_server(schema: JsonObject) -> None:
    with pytest.raises(ValueError, match="no grammar"):
        gbnf(schema)
