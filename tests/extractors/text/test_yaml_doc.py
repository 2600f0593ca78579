from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from securetag.errors import SourceError
from securetag.extractors.text.yaml_doc import MAX_DEPTH, decode_documents, decode_yaml


class Door(msgspec.Struct):
    name: str
    version: str = ""
    height: int = 0
    open: bool = False
    keys: list[str] = []
    note: str = "none"


def test_a_type_decides_what_a_scalar_is() -> None:
    door = decode_yaml(
        "name: no\nversion: 5.10\nheight: 203\nopen: true\nkeys: [1, 2024-01-02]\nnote:\n", Door
    )
    assert door == Door("no", "5.10", 203, True, ["1", "2024-01-02"], "none")


def test_without_a_type_scalars_stay_text() -> None:
    text = "a: 2024-01-02\nb: 012\nc: yes\nd: ~\n5: {e: 'null', f: !!str 7}\n'<<': g\n"
    assert decode_yaml(text, dict[str, Any]) == {
        "a": "2024-01-02",
        "b": "012",
        "c": "yes",
        "5": {"e": "null", "f": "7"},
        "<<": "g",
    }


def test_several_documents() -> None:
    documents: list[object] = list(decode_documents("---\na: b\n...\n---\n- c\n", Any))
    assert documents == [{"a": "b"}, ["c"]]
    with pytest.raises(SourceError, match="there are 2"):
        decode_yaml("--- a\n--- b\n", Any)
    with pytest.raises(SourceError, match="there are 0"):
        decode_yaml("# nothing\n", Any)


def test_aliases_and_merges() -> None:
    text = "base: &b {x: '1', y: '2'}\nmore: &m {y: '3', z: '4'}\nout: {<<: [*b, *m], x: '9'}\nsame: *b\n"
    value = decode_yaml(text, dict[str, Any])
    assert value["out"] == {"x": "9", "y": "2", "z": "4"}
    assert value["same"] == value["base"]
    assert value == yaml.safe_load(text)


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
)
MERGE_BOMB = "\n".join(
    ["m0: &m0 {k0: v}"]
    + [f"m{n}: &m{n} {{k{n}: v, <<: [{', '.join([f'*m{n - 1}'] * 10)}]}}" for n in range(1, 30)]
)


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(BOMB, "aliases expanded", id="alias bomb"),
        pytest.param(MERGE_BOMB, "aliases expanded", id="merge bomb"),
        pytest.param("a: &a [*a]", "names nothing before it", id="alias of itself"),
        pytest.param("a: *b", "names nothing before it", id="unknown alias"),
        pytest.param("a: !!python/object/apply:os.system ['true']", "tag", id="Python object tag"),
        pytest.param("a: !include other.yaml", "the tag !include isn't read", id="include tag"),
        pytest.param("a: !!binary aGk=", "tag", id="binary tag"),
        pytest.param("[" * 100_000, f"more than {MAX_DEPTH} deep", id="deep brackets"),
        pytest.param(
            "\n".join(" " * n + "- " for n in range(0, 2_000, 2)) + "x",
            f"more than {MAX_DEPTH} deep",
            id="deep lists",
        ),
        pytest.param("? [a, b]\n: c", "key must be text", id="list as a key"),
        pytest.param("a: {<<: b}", "only mappings can be merged", id="merge of a text"),
        pytest.param("a: [b", "not YAML", id="open bracket"),
        pytest.param("a: 'b", "not YAML", id="open quote"),
        pytest.param("a\tb: \x00", "not YAML", id="tab and NUL"),
        pytest.param("- x\n" * 1_000_001, "1,000,000 values", id="too many values"),
        pytest.param("x" * (33 * 1024 * 1024), "characters", id="too many characters"),
    ],
)
def test_hostile_documents_end_soon_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        decode_yaml(text, Any)


def test_what_does_not_fit_says_where() -> None:
    with pytest.raises(SourceError, match=r"\$\.height"):
        decode_yaml("name: a\nheight: " + "9" * 100_000, Door)


#: Without the line ends that PyYAML's writer folds away.
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85\u2028\u2029"), max_size=20)
JSON = st.recursive(
    WORDS | st.integers().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_what_is_written_is_read(value: object) -> None:
    assert decode_yaml(yaml.safe_dump(value, allow_unicode=True), Any) == value


@given(st.text(alphabet="ab:-&*!<[]{}'\"|>#? \n", max_size=60))
def test_any_text_gives_documents_or_a_reason(text: str) -> None:
    with suppress(SourceError):
        list(decode_documents(text, Any))
