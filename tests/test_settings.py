"""Settings: precedence, absolute paths, and the secret that production must bring."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from securetag.errors import SettingsError
from securetag.settings import get_settings


def test_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "securetag.toml").write_text("[api]\nport = 1\nhost = '127.0.0.2'\n")
    monkeypatch.setenv("SECURETAG_API__PORT", "2")
    assert (get_settings().api.port, get_settings().api.host) == (2, "127.0.0.2")


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SECURETAG_API__PORT", "DATABASE_URL", "SECURETAG_PEPPER_PREVIOUS_UNTIL"):
        monkeypatch.setenv(variable, "")
    assert (get_settings().api.port, get_settings().database_url) == (8080, None)


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
        get_settings().require_pepper()
    get_settings.cache_clear()
    monkeypatch.setenv("SECURETAG_PEPPER", "a secret of our own")
    assert get_settings().require_pepper() == "a secret of our own"


def test_a_wrong_value_names_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURETAG_API__PORT", "eighty")
    with pytest.raises(SettingsError, match=r"api\.port"):
        get_settings()


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SECURETAG_TRIAGE__BAKEND", "SECURETAG_TRIAGE__BACKEND"),
        ("SECURETAG_TRIGE__BACKEND", "SECURETAG_TRIAGE__BACKEND"),
        ("SECURETAG_HOEM", "SECURETAG_HOME"),
        ("SECURETAG_API_PORT", "SECURETAG_API__PORT"),
        ("securetag_peper", "SECURETAG_PEPPER"),
        ("SECURETAG_DATABASE_URL", "DATABASE_URL"),
        ("SECURETAG_API_KEYS", "SECURETAG_API_KEY"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused_with_what_may_be_meant(
    variable: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(SettingsError, match=variable) as refused:
        get_settings()
    assert f"Did you mean {meant}?" in refused.value.hint


@pytest.mark.parametrize(
    ("content", "name", "meant"),
    [
        pytest.param("[trige]\nbackend = 'ollama'\n", "trige", "triage", id="table"),
        pytest.param(
            "[triage]\nbakend = 'ollama'\n", r"triage\.bakend", "triage.backend", id="key in a table"
        ),
        pytest.param("hoem = '/srv'\n", "hoem", "home", id="top-level key"),
        pytest.param(
            "databse_url = 'postgresql://x/y'\n", "databse_url", "database_url", id="key with an underscore"
        ),
    ],
)
def test_a_name_in_the_file_that_is_no_setting_is_refused_with_what_may_be_meant(
    content: str, name: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "securetag.toml").write_text(content)
    with pytest.raises(SettingsError, match=rf"securetag\.toml: {name} is no setting") as refused:
        get_settings()
    assert f"Did you mean {meant}?" in refused.value.hint


@pytest.mark.parametrize(
    "content",
    [b"[api\nport = 1\n", b"port == 1\n", b"\xff\xfe", b"api = 1\n"],
    ids=["open bracket", "two equals signs", "not UTF-8", "a table as a number"],
)
def test_a_malformed_file_is_named(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "securetag.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"securetag\.toml|api: "):
        get_settings()


def test_a_variable_that_needs_json_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURETAG_TRIAGE__ALIASES", "securetag-v1")
    with pytest.raises(SettingsError, match="SECURETAG_TRIAGE__ALIASES: not valid JSON") as refused:
        get_settings()
    assert "JSON" in refused.value.hint


def test_what_kubernetes_and_our_own_tools_set_is_no_misspelling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes announces a Service named `securetag-api` to every pod in these variables."""
    for variable, value in {
        "SECURETAG_API_SERVICE_HOST": "10.0.0.1",
        "SECURETAG_API_SERVICE_PORT": "8080",
        "SECURETAG_API_SERVICE_PORT_HTTP": "8080",
        "SECURETAG_API_PORT": "tcp://10.0.0.1:8080",
        "SECURETAG_API_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "SECURETAG_API_PORT_8080_TCP_ADDR": "10.0.0.1",
        "SECURETAG_API_PORT_8080_TCP_PORT": "8080",
        "SECURETAG_API_PORT_8080_TCP_PROTO": "tcp",
        "SECURETAG_API_URL": "http://127.0.0.1:1",
        "SECURETAG_API_KEY": "stk_x",
        "SECURETAG_SANDBOX": "/x",
    }.items():
        monkeypatch.setenv(variable, value)
    assert get_settings().api.port == 8080


def test_every_variable_that_we_name_anywhere_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable in the code, a document or a script that the check refuses would end every command."""
    checkout = Path(__file__).parents[1]
    places = ["securetag/**/*.py", "benchmarks/**/*.py", "tools/*.py", "docs/**/*.md", "*.md", "Makefile",
              "notebooks/*", ".ci/run", ".github/workflows/*", "recipes/*"]  # fmt: skip
    names = {
        name
        for place in places
        for path in checkout.glob(place)
        for name in re.findall(r"\bSECURETAG_[A-Z0-9_]*[A-Z0-9]\b", path.read_text("utf-8"))
    }
    assert len(names) > 20
    for name in names:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("SECURETAG_ENVIRONMENT", "local")
    try:
        get_settings()
        refusal = ""
    except SettingsError as error:  # an empty value may be refused, a name may not
        refusal = str(error)
    assert "no setting" not in refusal
