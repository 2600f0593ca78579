"""Settings: precedence, absolute paths, and the secret that production must bring."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetag.errors import SettingsError
from securetag.settings import get_settings


def test_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "securetag.toml").write_text("[api]\nport = 1\nhost = '127.0.0.2'\n")
    monkeypatch.setenv("SECURETAG_API__PORT", "2")
    assert (get_settings().api.port, get_settings().api.host) == (2, "127.0.0.2")


def test_everybodys_names_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@h/d")
    secret = get_settings().database_url
    assert secret is not None
    assert secret.get_secret_value() == "postgresql://u:p@h/d"
    assert "p@h" not in repr(get_settings())


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECURETAG_HOME", "here")
    assert get_settings().home == tmp_path / "here"


def test_production_refuses_the_pepper_that_everybody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURETAG_ENVIRONMENT", "production")
    with pytest.raises(SettingsError, match="SECURETAG_PEPPER"):
        get_settings()
    get_settings.cache_clear()
    monkeypatch.setenv("SECURETAG_PEPPER", "a secret of our own")
    assert get_settings().environment == "production"


def test_a_wrong_value_names_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURETAG_API__PORT", "eighty")
    with pytest.raises(SettingsError, match=r"api\.port"):
        get_settings()
