"""One tree of settings: flag > environment > `securetag.toml` > default.

Environment names begin with `SECURETAG_` (`SECURETAG_API__PORT=8080` for `api.port`), except the
few that everyone spells alike: `DATABASE_URL`, `OLLAMA_HOST`, `RUNPOD_API_KEY`, `HF_TOKEN`. A secret may be
given as a file instead, which the variable's name with `_FILE` names.

Everything that a process writes is under `home` or `data`; both are absolute.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pydantic_settings
from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from securetag.errors import SettingsError
from securetag.records import ModelLocation
from securetag.settings.sections import (
    ApiSettings,
    CloudSettings,
    EvidenceSettings,
    ExternalScannerSettings,
    FetchSettings,
    PublishSettings,
    SemgrepSettings,
    TeacherSettings,
    TriageSettings,
    WebSettings,
    WorkerSettings,
)
from securetag.system.secret_files import SUFFIX, SecretFiles, list_secrets

#: A pepper that is written down here protects nothing, so production refuses it.
LOCAL_PEPPER = "local-development-only"
PREFIX = "SECURETAG_"
#: Variables with our prefix that are no settings: where `securetag scan` finds an api, and the mark on the
#: processes of tools.
OTHER_VARIABLES = frozenset({"SECURETAG_API_URL", "SECURETAG_API_KEY", "SECURETAG_SANDBOX"})
#: As the queue's protocol has the name of a tool.
_SCANNER_NAME = re.compile(r"[a-z][a-z0-9-]{0,49}")
#: What Kubernetes sets in every pod for a Service whose name begins with `securetag`.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,  # compose and shells pass on what isn't set as an empty value
        toml_file="securetag.toml",
        extra="forbid",
        hide_input_in_errors=True,
    )

    #: `production` refuses secrets that are written down in the code.
    environment: Literal["local", "production"] = "local"
    #: Everything that a process writes, but for `data`: artifacts, models, logs, addresses.
    home: Path = Path(".securetag")
    #: Fetched publications, Records and releases.
    data: Path = Path("data")
    #: A folder that answers for the internet: one that holds a MANIFEST.json of url → path.
    mirror: Path | None = None
    #: A catalog of your own sources, beside the built-in one and of the same schema (docs/sources.md).
    catalog: Path | None = None
    #: A folder of labeled code that models are scored on by `securetag model score` (docs/evaluation.md).
    external_suites: Path | None = None
    #: HMAC key under which API keys are stored.
    pepper: SecretStr = SecretStr(LOCAL_PEPPER)
    #: The pepper before a rotation: its keys open until `pepper_previous_until`, and move on when used.
    pepper_previous: SecretStr | None = None
    #: When keys under `pepper_previous` end: a time with its zone, as in 2027-01-31T00:00:00Z.
    pepper_previous_until: AwareDatetime | None = None
    #: HMAC key of the lease tokens that workers hold; by default the pepper.
    lease_key: SecretStr | None = None
    #: The lease key before a rotation, so that running tasks end; no longer needed after the longest of them.
    lease_key_previous: SecretStr | None = None
    #: Key under which the secrets of webhooks are encrypted in the database; by default the pepper.
    webhook_key: SecretStr | None = None
    #: The webhook key before a rotation; no longer needed after the api's next sweep, an hour at most.
    webhook_key_previous: SecretStr | None = None
    #: PostgreSQL 15 or newer; without it `securetag up` starts one of its own.
    database_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("DATABASE_URL", "database_url")
    )
    #: Address of an Ollama server, for the backend `ollama`.
    ollama_host: str | None = Field(default=None, validation_alias=AliasChoices("OLLAMA_HOST", "ollama_host"))
    #: Token of the DigitalOcean account that rents the droplet of `securetag cloud`.
    digitalocean_token: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("DIGITALOCEAN_TOKEN", "digitalocean_token")
    )
    #: Key of the RunPod account that rents GPUs.
    runpod_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("RUNPOD_API_KEY", "runpod_api_key")
    )
    #: Key of NVD's API: 50 requests in 30 seconds instead of 5.
    nvd_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("NVD_API_KEY", "nvd_api_key")
    )
    #: Token for gated models and for pushes to the Hugging Face hub.
    hf_token: SecretStr | None = Field(default=None, validation_alias=AliasChoices("HF_TOKEN", "hf_token"))
    #: Gets a JSON object with a line of `text` for each run of Dagster's that fails; chat services take it.
    alert_webhook: SecretStr | None = None
    #: fsspec URL under which uploads and artifacts lie; by default `<home>/artifacts`.
    storage_url: str | None = None
    #: Networks beside the public ones that webhooks and `git_url` may reach, as in `10.1.0.0/16`.
    private_networks: list[IPvAnyNetwork] = []
    #: Key id of the S3 bucket that `storage_url` names; by default what the AWS libraries find.
    aws_access_key_id: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("AWS_ACCESS_KEY_ID", "aws_access_key_id")
    )
    #: Secret that belongs to the key id.
    aws_secret_access_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key")
    )
    #: Ray cluster on which a release's rows are made, or `local`; by default this process (docs/scaling.md).
    ray_address: str | None = None
    #: YAML whose keys replace those of Dagster's `dagster.yaml` (docs/scaling.md).
    dagster_config: Path | None = None
    #: Where the steps of Dagster's runs run: in the run's process, or each in a Kubernetes job of its own.
    dagster_executor: Literal["in_process", "kubernetes"] = "in_process"
    #: Programs that write SARIF, by name: each is run as a scanner after those of `worker.scanners`.
    scanners: dict[str, ExternalScannerSettings] = {}
    api: ApiSettings = ApiSettings()
    worker: WorkerSettings = WorkerSettings()
    semgrep: SemgrepSettings = SemgrepSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    web: WebSettings = WebSettings()
    triage: TriageSettings = TriageSettings()
    publish: PublishSettings = PublishSettings()
    teacher: TeacherSettings = TeacherSettings()
    fetch: FetchSettings = FetchSettings()
    cloud: CloudSettings = CloudSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(env_settings, EnvSettingsSource)
        files = {variable.lower() + SUFFIX.lower() for variable, _ in list_secrets(settings_cls, PREFIX)}
        env_settings.env_vars = {
            name: value for name, value in env_settings.env_vars.items() if name.lower() not in files
        }
        # Files before the environment, where the variable itself may be set to nothing.
        return (
            init_settings,
            SecretFiles(settings_cls, PREFIX),
            env_settings,
            TomlConfigSettingsSource(settings_cls),
        )

    @model_validator(mode="after")
    def _absolute_and_whole(self) -> Settings:
        self.home = self.home.expanduser().absolute()
        self.data = self.data.expanduser().absolute()
        if self.mirror is not None:
            self.mirror = self.mirror.expanduser().absolute()
        if self.catalog is not None:
            self.catalog = self.catalog.expanduser().absolute()
        if self.external_suites is not None:
            self.external_suites = self.external_suites.expanduser().absolute()
        if self.pepper_previous is not None and self.pepper_previous_until is None:
            raise ValueError("SECURETAG_PEPPER_PREVIOUS needs an end: set SECURETAG_PEPPER_PREVIOUS_UNTIL")
        if wrong := [name for name in self.scanners if not _SCANNER_NAME.fullmatch(name)]:
            raise ValueError(f"scanners.{wrong[0]}: a name is of small letters, digits and `-`")
        if self.environment == "production" and self.web.allow_loopback:
            raise ValueError("SECURETAG_WEB__ALLOW_LOOPBACK must not be set in production")
        return self

    def require_pepper(self) -> str:
        """Return the pepper. Raises SettingsError for the default one in production.

        Only who makes or checks keys needs it: a worker has none.
        """
        if self.environment == "production" and self.pepper.get_secret_value() == LOCAL_PEPPER:
            raise SettingsError(
                "SECURETAG_PEPPER is the default, which everybody can read",
                hint="Set SECURETAG_PEPPER, or SECURETAG_PEPPER_FILE, to a secret of your own: "
                "`openssl rand -base64 32` prints one.",
            )
        return self.pepper.get_secret_value()

    @property
    def storage(self) -> str:
        """fsspec URL of the root of uploads and artifacts."""
        return self.storage_url or (self.home / "artifacts").as_uri()

    @property
    def storage_credentials(self) -> dict[str, str]:
        """`key` and `secret` for s3://; empty where the AWS libraries are to find them."""
        pair = {"key": self.aws_access_key_id, "secret": self.aws_secret_access_key}
        return {name: secret.get_secret_value() for name, secret in pair.items() if secret is not None}

    @property
    def run_dir(self) -> Path:
        """Where running services publish their addresses (`services.json`)."""
        return self.home / "run"

    @property
    def private_paths(self) -> tuple[Path, ...]:
        """What no tool sees that reads others' code: the installation's keys, uploads and settings."""
        local = self.storage.removeprefix("file://")
        storage = [Path(local)] if local.startswith("/") else []
        return (self.home, *storage, Path("securetag.toml").absolute())

    @property
    def models_dir(self) -> Path:
        """Where the embedded runtime's registry and GGUF files lie."""
        return self.home / "models"

    @property
    def model_location(self) -> ModelLocation:
        """Where the model that triages runs: as the setting says, else by its address."""
        triage = self.triage
        if triage.location is not None:
            return triage.location
        address = self.ollama_host if triage.backend == "ollama" else triage.url
        return "local" if address is None or _is_loopback(address) else "third_party"

    @property
    def releases_dir(self) -> Path:
        return self.data / "releases"

    @property
    def records_dir(self) -> Path:
        return self.data / "records"

    @property
    def teacher_dir(self) -> Path:
        """Where a teacher model's answers are kept."""
        return self.data / "teacher"

    @property
    def raw_dir(self) -> Path:
        """Where fetched publications lie, one folder a source."""
        return self.data / "raw"


def _is_loopback(address: str) -> bool:
    """Does an address, with or without a scheme, lead back to this machine?"""
    try:
        host = urlsplit(address if "//" in address else f"//{address}").hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def cores() -> int:
    """Return the number of cores that this process may use: the container's, not the host's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def beside_environment(name: str) -> Path:
    """Return a path beside the virtual environment that runs us, for example `.venv-semgrep`."""
    return Path(sys.prefix).parent / name


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the process's settings, read once. Raises SettingsError."""
    file = Settings.model_config.get("toml_file")
    try:
        _refuse_unknown_variables(os.environ)
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        if first["type"] == "extra_forbidden":
            raise SettingsError(
                f"{file}: {where} is no setting",
                hint=_suggest(where, {name: name for name in _names_in_file(Settings)}),
            ) from error
        raise SettingsError(
            f"{where}: {first['msg']}", hint="See docs/settings.md for every setting."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}", hint="Correct it, or remove it.") from error
    except OSError as error:
        raise SettingsError(
            f"{file} can't be read: {error.strerror}", hint="Let this user read it, or remove it."
        ) from error
    except pydantic_settings.SettingsError as error:
        text = getattr(error.__cause__, "doc", None)
        names = [name for name in os.environ if name.upper().startswith(PREFIX) and os.environ[name] == text]
        raise SettingsError(
            f"{' or '.join(names) or error}: not valid JSON",
            hint="Lists and tables are written as JSON in the environment, for example "
            """SECURETAG_TRIAGE__ALIASES='["securetag-v1"]'.""",
        ) from error


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """Raise SettingsError for a variable with our prefix that names nothing."""
    files = [variable + SUFFIX for variable, _ in list_secrets(Settings, PREFIX)]
    variables = {name.upper(): name for name in [*list_variables(Settings, PREFIX), *files, *OTHER_VARIABLES]}
    for name, value in environment.items():
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in variables:
            continue
        if _SERVICE_LINK.search(upper) or value.startswith(("tcp://", "udp://", "sctp://")):
            continue
        candidates = {variable.removeprefix(PREFIX): variable for variable in variables}
        raise SettingsError(f"{name} is no setting", hint=_suggest(upper.removeprefix(PREFIX), candidates))


def list_variables(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Yield every variable that sets a field of `model`, or one of its sections as JSON."""
    for name, field in model.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices):
            yield str(field.validation_alias.choices[0])
            continue
        yield prefix + name.upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from list_variables(field.annotation, f"{prefix}{name.upper()}__")


def _names_in_file(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield every name of the file, with its table: `triage`, `triage.backend`."""
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _names_in_file(field.annotation, f"{prefix}{name}.")


def _suggest(name: str, candidates: Mapping[str, str]) -> str:
    """Return the hint for a misspelled name; `candidates` maps what it is compared with to what is shown."""
    close = get_close_matches(name, candidates, n=1)
    meant = f"Did you mean {candidates[close[0]]}? " if close else ""
    return f"{meant}docs/settings.md lists every setting."
