"""The wire says findings and verdicts as the vocabulary does: a field that one side gains is seen here."""

from __future__ import annotations

import json

import msgspec
import pytest
from pydantic import BaseModel, ValidationError
from rows import make_finding

from securetag.records import OCCURRENCE_FIELDS, Decision, Finding, Verdict
from securetag.wire.api import FindingAnswer, OccurrenceAnswer, VerdictAnswer
from securetag.wire.queue import NextRequest, ResultRequest, TriagedFinding

FINDING = make_finding()
TRIAGED = TriagedFinding(
    finding=FINDING, verdict=Verdict(decision=Decision.TRUE_POSITIVE, evidence=[(3, 4)], model_id="m")
)


def test_a_finding_travels_as_the_records_define_it() -> None:
    sent = json.loads(TRIAGED.model_dump_json())
    assert sent["finding"] == msgspec.to_builtins(FINDING)
    assert sent["verdict"]["decision"] == "true_positive"
    assert TriagedFinding.model_validate_json(json.dumps(sent)) == TRIAGED
    schema = TriagedFinding.model_json_schema()["properties"]["finding"]
    assert set(schema["properties"]) == set(Finding.__struct_fields__)
    assert {"tool", "fingerprint"} <= set(schema["required"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("severity", "huge", id="no such severity"),
        pytest.param("start_line", "3", id="text for a number"),
        pytest.param("fingerprint", "v1:abc", id="no fingerprint"),
        pytest.param("serverity", "high", id="misspelt field"),
        pytest.param("path", None, id="null"),
    ],
)
def test_a_malformed_finding_is_refused_and_the_field_named(field: str, value: object) -> None:
    sent = json.loads(TRIAGED.model_dump_json())
    sent["finding"][field] = value
    with pytest.raises(ValidationError, match=field):
        TriagedFinding.model_validate(sent)


@pytest.mark.parametrize(
    ("answer", "struct", "apart"),
    [
        pytest.param(FindingAnswer, Finding, set(OCCURRENCE_FIELDS), id="finding"),
        pytest.param(
            OccurrenceAnswer,
            Finding,
            set(Finding.__struct_fields__) - set(OCCURRENCE_FIELDS) | {"identity", "code_slice"},
            id="occurrence",
        ),
        pytest.param(VerdictAnswer, Verdict, {"prompt_tokens", "completion_tokens"}, id="verdict"),
    ],
)
def test_answers_show_the_fields_of_the_records(
    answer: type[BaseModel], struct: type[msgspec.Struct], apart: set[str]
) -> None:
    assert set(struct.__struct_fields__) - answer.model_fields.keys() == apart


def test_a_typo_is_an_error() -> None:
    with pytest.raises(ValidationError):
        NextRequest.model_validate({"worker_id": "w", "kind": ["codeaudit"]})


def test_a_result_survives_json() -> None:
    text = (
        '{"task_id":"01a204a5-9b8b-72fd-a336-9d07bf1d3e16","outcome":"completed","tool_executions":[{"tool":'
        '"semgrep","version":"1","arguments":[],"exit_code":0,"duration_s":1,"started_at":"2026-01-01T00:00:00Z",'
        '"metrics":{"schema":1,"tool":"semgrep","findings":2}}]}'
    )
    request = ResultRequest.model_validate_json(text)
    assert ResultRequest.model_validate_json(request.model_dump_json(by_alias=True)) == request
