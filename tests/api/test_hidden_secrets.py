"""What the api says and logs where its secrets are involved in an error."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from securetag.api.app import create_app
from securetag.settings import Settings

PEPPER, PASSWORD = "a pepper that stays hidden", "password-that-stays-hidden"
KEY = f"stk_{'p' * 12}_{'s' * 43}"


@pytest.mark.anyio
@pytest.mark.sockets
async def test_a_database_that_is_away_shows_no_password(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"postgresql://someone:{PASSWORD}@127.0.0.1:1/securetag"
    app = create_app(
        Settings(home=tmp_path, pepper=SecretStr(PEPPER), database_url=SecretStr(url), data=tmp_path / "data")
    )
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as client:
        answers = [
            await client.request(method, f"http://api{path}", headers={"X-API-Key": KEY})
            for method, path in (("GET", "/projects"), ("POST", "/queue/next"), ("GET", "/healthz/db"))
        ]
    assert {answer.status_code for answer in answers} == {503}
    assert caplog.text
    shown = caplog.text + "".join(answer.text for answer in answers)
    assert not [secret for secret in (PEPPER, PASSWORD, "s" * 43) if secret in shown]


@pytest.mark.system
@pytest.mark.parametrize("url", [f"postgresql://u:{PASSWORD}@db:port/x", f"mysql://u:{PASSWORD}@db/x"])
def test_an_address_that_can_not_be_read_shows_no_password(url: str, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(url)
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    for command in (["api"], ["db", "upgrade"], ["backup", str(tmp_path / "b")]):
        done = subprocess.run(
            [sys.executable, "-c", "from securetag.cli import app; app()", *command],
            env=environment | {"DATABASE_URL_FILE": str(tmp_path / "url")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        assert len(done.stderr.splitlines()) == 2, done.stderr
        assert PASSWORD not in done.stdout + done.stderr
