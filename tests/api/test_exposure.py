"""What the api refuses before other machines can reach it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import SecretStr

from securetag.api.exposure import refuse_unsafe
from securetag.errors import SettingsError
from securetag.settings import Settings
from securetag.settings.sections import ApiSettings

PEPPER = "c29tZXRoaW5nIHRoYXQgd2FzIGdlbmVyYXRlZA=="
STRONG = "postgresql://securetag:Zm9ydHktdHdv@postgres/securetag"


def settings(pepper: str = PEPPER, url: str = STRONG, *, behind_proxy: bool = True) -> Settings:
    return Settings(
        pepper=SecretStr(pepper), database_url=SecretStr(url), api=ApiSettings(behind_proxy=behind_proxy)
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "api.example.org"])
@pytest.mark.parametrize(
    ("unsafe", "message"),
    [
        pytest.param(settings(pepper="local-development-only"), "PEPPER is the default", id="pepper"),
        pytest.param(settings(pepper="short"), "SECURETAG_PEPPER is too short", id="short pepper"),
        pytest.param(settings(behind_proxy=False), "no TLS", id="no proxy"),
        pytest.param(settings(url="postgresql://u:Postgres@db/x"), "well-known", id="password"),
        pytest.param(settings(url="postgresql://someone:someone@db/x"), "well-known", id="password as user"),
        pytest.param(
            settings(url="postgresql://u:p4v@db.example.org/x?sslmode=disable"),
            "turns TLS off for db.example.org",
            id="database without TLS",
        ),
    ],
)
def test_defaults_are_refused_outside_loopback(host: str, unsafe: Settings, message: str) -> None:
    with pytest.raises(SettingsError, match=f"doesn't listen on {host}.*{message}") as refused:
        refuse_unsafe(unsafe, host)
    assert refused.value.hint
    for loopback in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        refuse_unsafe(unsafe, loopback)


@pytest.mark.parametrize(
    "url", [STRONG, "postgresql://securetag@/securetag?host=/run/pg", f"{STRONG}?sslmode=disable"]
)
def test_secrets_of_ones_own_behind_a_proxy_do(url: str) -> None:
    refuse_unsafe(settings(url=url), "0.0.0.0")


def test_production_refuses_the_default_pepper_on_loopback_too() -> None:
    production = settings(pepper="local-development-only").model_copy(update={"environment": "production"})
    with pytest.raises(SettingsError, match="SECURETAG_PEPPER"):
        refuse_unsafe(production, "127.0.0.1")


def test_the_process_says_it_in_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hidden@db/x")
    done = subprocess.run(
        [sys.executable, "-m", "securetag.api", "--host", "0.0.0.0", "--port", "0"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    happened, advice = done.stderr.splitlines()
    assert "0.0.0.0" in happened
    assert "SECURETAG_PEPPER_FILE" in advice
    assert "hidden" not in done.stdout + done.stderr
