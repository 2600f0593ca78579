"""How large a body may be, by its path."""

from __future__ import annotations

import pytest

from securetag.api.app import SMALL_BODY, limit_body
from securetag.settings.sections import ApiSettings


@pytest.mark.parametrize(
    ("method", "path", "setting"),
    [
        pytest.param("POST", "/queue/findings", "max_result", id="findings before their verdicts"),
        pytest.param("POST", "/queue/result", "max_result", id="a result"),
        pytest.param("PUT", "/queue/tasks/1/artifacts/report.json", "max_artifact", id="an artifact"),
    ],
)
def test_what_a_worker_sends_has_limits_of_its_own(method: str, path: str, setting: str) -> None:
    settings = ApiSettings(max_result=11_000_000, max_artifact=12_000_000)
    assert limit_body(settings)(method, path) == getattr(settings, setting)


@pytest.mark.parametrize(("method", "path"), [("POST", "/queue/heartbeat"), ("GET", "/queue/findings")])
def test_any_other_body_is_small(method: str, path: str) -> None:
    assert limit_body(ApiSettings())(method, path) == SMALL_BODY
