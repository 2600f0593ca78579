"""Secrets by environment or by file, never shown."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pydantic import BaseModel, SecretStr

from securetag.errors import SettingsError
from securetag.settings import Settings, get_settings
from securetag.storage import storage_for

#: Variable → where its value is in the settings.
SECRETS = {
    "SECURETAG_PEPPER": "pepper",
    "SECURETAG_PEPPER_PREVIOUS": "pepper_previous",
    "SECURETAG_LEASE_KEY": "lease_key",
    "SECURETAG_LEASE_KEY_PREVIOUS": "lease_key_previous",
    "SECURETAG_WEBHOOK_KEY": "webhook_key",
    "SECURETAG_WEBHOOK_KEY_PREVIOUS": "webhook_key_previous",
    "DATABASE_URL": "database_url",
    "RUNPOD_API_KEY": "runpod_api_key",
    "NVD_API_KEY": "nvd_api_key",
    "SECURETAG_ALERT_WEBHOOK": "alert_webhook",
    "HF_TOKEN": "hf_token",
    "AWS_ACCESS_KEY_ID": "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "DIGITALOCEAN_TOKEN": "digitalocean_token",
    "SECURETAG_CLOUD__ENDPOINT_KEY": "cloud.endpoint_key",
    "SECURETAG_TRIAGE__API_KEY": "triage.api_key",
    "SECURETAG_WORKER__API_KEY": "worker.api_key",
    "SECURETAG_TEACHER__API_KEY": "teacher.api_key",
}


def value(settings: Settings, path: str) -> str:
    node: object = settings
    for name in path.split("."):
        node = getattr(node, name)
    assert isinstance(node, SecretStr), path
    return node.get_secret_value()


def list_secrets(model: type[BaseModel], prefix: str = "") -> set[str]:
    paths = set()
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            paths |= list_secrets(field.annotation, f"{prefix}{name}.")
        elif "SecretStr" in str(field.annotation):
            paths.add(prefix + name)
    return paths


def test_every_secret_of_the_settings_is_tried_here() -> None:
    assert list_secrets(Settings) == set(SECRETS.values())


@pytest.mark.parametrize("variable", SECRETS)
def test_a_secret_by_file(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text("  words with a blank \n")
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SECURETAG_PEPPER_PREVIOUS_UNTIL", "2040-01-01T00:00:00Z")
    monkeypatch.setenv(f"{variable}_FILE", str(file))
    assert value(get_settings(), SECRETS[variable]) == "  words with a blank "


def test_a_file_beats_securetag_toml_and_an_empty_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "securetag.toml").write_text("database_url = 'postgresql://toml/x'\n")
    (tmp_path / "url").write_text("postgresql://file/x\r\n")
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("DATABASE_URL_FILE", "url")
    assert value(get_settings(), "database_url") == "postgresql://file/x"


def test_a_secret_given_twice_is_refused_and_neither_value_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pepper").write_text("from the file")
    monkeypatch.setenv("SECURETAG_PEPPER", "from the environment")
    monkeypatch.setenv("SECURETAG_PEPPER_FILE", str(tmp_path / "pepper"))
    with pytest.raises(SettingsError, match="SECURETAG_PEPPER and SECURETAG_PEPPER_FILE") as refused:
        get_settings()
    assert "from the" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "can't be read", id="missing"),
        pytest.param(b"\n", "is empty", id="nothing but a newline"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\xff\xfe", "not UTF-8", id="binary"),
    ],
)
def test_a_file_without_a_secret_is_refused(
    content: bytes | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("HF_TOKEN_FILE", str(file))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(SettingsError, match=f"HF_TOKEN_FILE: .*{message}") as refused:
        get_settings()
    assert refused.value.hint


def test_only_secrets_can_be_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURETAG_API__HOST_FILE", "/etc/hostname")
    with pytest.raises(SettingsError, match="SECURETAG_API__HOST_FILE is no setting"):
        get_settings()


def test_no_secret_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SECURETAG_PEPPER_PREVIOUS_UNTIL", "2040-01-01T00:00:00Z")
    for number, variable in enumerate(SECRETS):
        (tmp_path / variable).write_text(f"hidden-{number}")
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / variable))
    settings = get_settings()
    shown = f"{settings!r} {settings} {settings.model_dump_json()} {settings.model_dump()} {caplog.text}"
    assert not re.search(r"hidden-\d", shown)
    assert not any("hidden" in text for text in os.environ.values())


def test_a_wrong_value_beside_a_secret_shows_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURETAG_WORKER", '{"api_key": "hidden", "poll_s": "hidden too"}')
    with pytest.raises(SettingsError, match=r"worker\.poll_s") as refused:
        get_settings()
    assert "hidden" not in f"{refused.value} {refused.value.hint} {refused.value.__cause__}"


class Bucket(MemoryFileSystem):
    """In place of s3fs, which isn't a dependency: keeps what it is opened with."""

    protocol = "s3"
    cachable = False
    opened: dict[str, str] = {}

    def __init__(self, **options: str) -> None:
        super().__init__()
        type(self).opened = options


def test_credentials_of_a_bucket_go_to_it_and_to_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.register_implementation("s3", Bucket, clobber=True)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    credentials = get_settings().storage_credentials
    storage_for("s3://bucket/artifacts", credentials)
    assert Bucket.opened == {"key": "id", "secret": "hidden"}
    storage_for(str(tmp_path), credentials).put("a", [b"x"], limit=1)
    assert (tmp_path / "a").read_bytes() == b"x"
