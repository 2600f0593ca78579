"""A rule's words: complete in both languages, or refused with the field's name."""

from __future__ import annotations

from typing import Any

import pytest

from securetag.errors import ToolError
from securetag.records import JsonObject
from securetag.rules import catalogue
from securetag.rules.metadata import MAX_TITLE, Text, read_metadata
from securetag.rules.pack import read_rules


def rule(**changes: Any) -> JsonObject:
    metadata = {
        "cwe": "CWE-89",
        "owasp": "A05:2025",
        "severity": "high",
        "confidence": "low",
        "kind": "pattern",
        "message_en": "a",
        "message_es": "b",
        "recommendation_en": "c",
        "recommendation_es": "d",
    }
    base: JsonObject = {
        "id": "securetag.python.sql-injection",
        "languages": ["python"],
        "message": "SQL injection",
        "severity": "HIGH",
    }
    metadata.update({key: value for key, value in changes.items() if key in metadata or key == "extra"})
    base.update({key: value for key, value in changes.items() if key in base and key != "severity"})
    return {**base, "metadata": {key: value for key, value in metadata.items() if value is not None}}


def test_a_whole_rule_is_read() -> None:
    metadata = read_metadata(rule(), where="a.yaml")
    assert (metadata.title, metadata.cwe, metadata.severity) == ("SQL injection", "CWE-89", "high")
    assert (metadata.message, metadata.recommendation) == (Text("a", "b"), Text("c", "d"))
    assert [metadata.message.get(lang) for lang in ("en", "es", "de")] == ["a", "b", "a"]


def test_a_template_rule_is_read_as_text() -> None:
    change = {"id": "securetag.template.raw-binding", "languages": ["regex"]}
    assert read_metadata(rule(**change), where="a.yaml").languages == ["regex"]
    with pytest.raises(ToolError, match="'regex'"):
        read_metadata(rule(**{**change, "languages": ["html"]}), where="a.yaml")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        pytest.param({"id": "securetag.python.SQL"}, "the id is not", id="uppercase id"),
        pytest.param({"id": "other.python.sql"}, "the id is not", id="foreign id"),
        pytest.param({"languages": ["javascript"]}, "'python'", id="another language"),
        pytest.param({"languages": "python"}, "languages", id="languages as text"),
        pytest.param({"message": " "}, "title", id="blank title"),
        pytest.param({"message": "x" * (MAX_TITLE + 1)}, "title", id="long title"),
        pytest.param({"severity": "low"}, "severity must be LOW", id="severity not Semgrep's"),
        pytest.param({"severity": "grave"}, "severity", id="no such severity"),
        pytest.param({"cwe": "89"}, "cwe", id="cwe without prefix"),
        pytest.param({"owasp": "A03:2021"}, "owasp", id="another year of OWASP"),
        pytest.param({"message_es": None}, "message_es", id="missing Spanish"),
        pytest.param({"recommendation_en": "  "}, "recommendation_en is empty", id="blank recommendation"),
        pytest.param({"extra": "x"}, "extra", id="an extra field"),
        pytest.param({"confidence": 3}, "confidence", id="confidence as number"),
    ],
)
def test_a_broken_rule_names_itself_its_file_and_the_field(change: JsonObject, what: str) -> None:
    with pytest.raises(ToolError, match=r"a\.yaml") as caught:
        read_metadata(rule(**change), where="a.yaml")
    assert what in str(caught.value)
    assert str(rule(**change)["id"]) in str(caught.value)


def test_every_rule_speaks_both_languages() -> None:
    for metadata in catalogue().values():
        assert metadata.message.en != metadata.message.es
        assert metadata.recommendation.en != metadata.recommendation.es
        assert max(len(text) for text in (metadata.message.en, metadata.message.es)) <= 160
        assert max(len(text) for text in (metadata.recommendation.en, metadata.recommendation.es)) <= 160


def test_a_catalogue_is_the_callers_own() -> None:
    catalogue().clear()
    assert set(catalogue()) == set(read_rules())


def test_one_name_means_one_class_in_both_languages() -> None:
    classes: dict[str, set[tuple[str, str, str]]] = {}
    for name, metadata in catalogue().items():
        classes.setdefault(name.rsplit(".", 1)[1], set()).add(
            (metadata.cwe, metadata.severity, metadata.title)
        )
    assert {name: values for name, values in classes.items() if len(values) > 1} == {}
