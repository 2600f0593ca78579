"""The wire says findings and verdicts as the vocabulary does: a field that one side gains is seen here."""

from __future__ import annotations

import msgspec
import pytest
from pydantic import ValidationError

from securetag.records import Finding, Verdict
from securetag.wire import NextRequest, ResultRequest, WireFinding, WireVerdict


@pytest.mark.parametrize(("wire", "ours"), [(WireFinding, Finding), (WireVerdict, Verdict)])
def test_both_sides_have_the_same_fields(
    wire: type[WireFinding] | type[WireVerdict], ours: type[msgspec.Struct]
) -> None:
    assert list(wire.model_fields) == list(ours.__struct_fields__)


def test_a_typo_is_an_error() -> None:
    with pytest.raises(ValidationError):
        NextRequest.model_validate({"worker_id": "w", "kind": ["codeaudit"]})


def test_a_result_survives_json() -> None:
    text = (
        '{"task_id":"01a204a5-9b8b-72fd-a336-9d07bf1d3e16","outcome":"completed","tool_executions":[{"tool":'
        '"semgrep","version":"1","arguments":[],"exit_code":0,"duration_s":1,"started_at":"2026-01-01T00:00:00Z",'
        '"metrics":{"schema":1,"tool":"semgrep","findings":2}}]}'
    )
    found = ResultRequest.model_validate_json(text)
    assert ResultRequest.model_validate_json(found.model_dump_json(by_alias=True)) == found
