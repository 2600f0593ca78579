"""Schemathesis against the api in a process of its own: calls generated from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from api_in_process import Api
from postgres import Database

pytestmark = [pytest.mark.anyio, pytest.mark.sockets, pytest.mark.timeout(900)]


async def send_generated(api: Api, dsn: str, home: Path, examples: int) -> int:
    """Return how many calls were sent; fail at the first fault. Schemathesis is imported here alone."""
    generated_calls = pytest.importorskip("generated_calls", exc_type=ImportError)
    number: int = await generated_calls.send_generated(api, dsn, home, examples)
    return number


@pytest.mark.system
async def test_generated_calls_meet_no_fault(api: Api, pg_database: Database, tmp_path: Path) -> None:
    assert await send_generated(api, pg_database.dsn_api, tmp_path / "process", examples=8) > 300


@pytest.mark.chaos
@pytest.mark.timeout(3600)
async def test_ten_thousand_generated_calls_meet_no_fault(
    api: Api, pg_database: Database, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    calls = await send_generated(api, pg_database.dsn_api, tmp_path / "process", examples=240)
    record_property("faults", [calls, "generated calls"])
    assert calls >= 10_000
