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
from pathlib import Path
from typing import Annotated, Literal

import pydantic_settings
from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
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
from securetag.system.secret_files import SUFFIX, SecretFiles, list_secrets

#: A pepper that is written down here protects nothing, so production refuses it.
LOCAL_PEPPER = "local-development-only"
PREFIX = "SECURETAG_"
#: Variables with our prefix that are no settings: where `securetag scan` finds an api, and the mark on the
#: processes of tools.
OTHER_VARIABLES = frozenset({"SECURETAG_API_URL", "SECURETAG_API_KEY", "SECURETAG_SANDBOX"})
#: What Kubernetes sets in every pod for a Service whose name begins with `securetag`.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")


class Section(BaseModel):
    """A table of the file. An unknown name in it is refused: a misspelled one would do nothing, silently."""

    model_config = ConfigDict(extra="forbid")


class ApiSettings(Section):
    """The HTTP server."""

    #: Address to listen on; anything but loopback needs a proxy with TLS in front, and no default secrets.
    host: str = "127.0.0.1"
    #: TLS ends at a proxy in front, which alone reaches the api's address.
    behind_proxy: bool = False
    #: 0 takes a free one.
    port: int = 8080
    #: Bytes of one uploaded archive.
    max_upload: int = 50 * 1024 * 1024
    #: Bytes of one artifact that a worker stores.
    max_artifact: int = 20 * 1024 * 1024
    #: Bytes of one scan's result: 50,000 findings with their code are about 150 MB.
    max_result: int = 256 * 1024 * 1024
    #: Bytes of any other request body, and of one line of a result.
    max_body: int = 10 * 1024 * 1024
    #: Bytes of a request's line and headers together.
    max_head: int = Field(default=32 * 1024, ge=8 * 1024)
    #: Open connections; one more ends the one that has waited longest without a whole request.
    max_connections: int = Field(default=512, ge=1)
    #: Seconds in which a request's line and headers must arrive.
    head_timeout_s: float = Field(default=10.0, gt=0)
    #: Seconds that a body, or the reading of an answer, may pause.
    body_timeout_s: float = Field(default=20.0, gt=0)
    #: Bytes a second that a body must bring on average after `body_timeout_s`.
    min_body_rate: int = Field(default=1_000, ge=1)
    #: Seconds that one SQL statement may take before the api answers 503.
    statement_timeout_s: float = 10.0
    #: Seconds that storing one scan's result may take, all statements together.
    result_timeout_s: float = Field(default=300.0, gt=0)
    #: Seconds that a connection to the database may take to open.
    connect_timeout_s: float = 3.0
    #: Connections to the database that one process keeps.
    pool_size: int = 8
    #: Seconds that a worker's lease lasts without a heartbeat (`securetag.wire.queue.LEASE_S`).
    lease_s: int = 30
    #: Seconds between two looks for leases that ran out.
    reap_s: float = 5.0


class WorkerSettings(Section):
    """A worker: it knows the api's address and a key with the worker scope, nothing else."""

    #: Where the queue is.
    api_url: str = "http://127.0.0.1:8080"
    #: A key with the worker scope.
    api_key: SecretStr | None = None
    #: Seconds that `POST /queue/next` may wait for work.
    poll_s: float = 10.0
    #: Scanners that read each upload, one after the other.
    scanners: Annotated[list[str], Field(min_length=1)] = ["semgrep"]
    #: Files of one unpacked project.
    max_files: int = 20_000
    #: Bytes of one unpacked project.
    max_unpacked: int = 500 * 1024 * 1024
    #: Unpacked bytes to packed ones, of one project; more is taken for a bomb.
    max_ratio: int = 200


class SemgrepSettings(Section):
    """How Semgrep is run."""

    #: The executable; by default the one in `.venv-semgrep` beside this environment, else PATH's.
    executable: Path | None = None
    #: CPU-seconds for one project, of all cores together. What was scanned by then is kept, and the
    #: result says what was not.
    cpu_s: float = Field(default=600.0, ge=1)
    #: Seconds of wall time for one project, a guard against hangs; what was scanned by then is kept.
    timeout_s: float = 1200.0
    #: Seconds of wall time for one rule on one file, after which the result names both.
    rule_timeout_s: float = Field(default=60.0, gt=0)
    #: Address-space limit of the scanner's processes, MiB.
    memory_mb: int = 4096
    #: Parallel jobs; 0 means the cores that this process may use.
    jobs: int = 0


class TriageSettings(Section):
    """Which model triages, and within which bounds."""

    #: `runtime`: the embedded llama.cpp server; `ollama`: OLLAMA_HOST.
    backend: Literal["runtime", "ollama"] = "runtime"
    #: OpenAI-compatible base URL; by default the one in `<home>/run/services.json`.
    url: str | None = None
    #: Tried in this order; the first that the runtime serves answers.
    aliases: list[str] = ["securetag-v1", "securetag-base"]
    #: Form of prompt and answer: `compact` for the embedded model, `full` for the 8B one.
    profile: Literal["full", "compact"] = "compact"
    #: Language of prompts and recommendations.
    lang: Literal["en", "es"] = "en"
    #: Seconds for one finding, after which it is `needs_review`.
    timeout_s: float = 30.0
    #: Seconds for all findings of one scan.
    budget_s: float = 600.0
    #: Findings below this aren't shown to the model.
    min_severity: Literal["info", "low", "medium", "high", "critical"] = "high"


class TeacherSettings(Section):
    """A model that writes questions and answers about Records; none unless `model` is set."""

    #: `openai`: any OpenAI-compatible server; `ollama`: OLLAMA_HOST.
    backend: Literal["openai", "ollama"] = "openai"
    #: OpenAI-compatible base URL.
    url: str | None = None
    #: Its name at the endpoint.
    model: str | None = None
    #: Sent as a bearer token.
    api_key: SecretStr | None = None
    #: SPDX expression of the terms on which it writes; rows of a model whose terms forbid training others
    #: are LicenseRef-Distilled-<vendor>, and stop a release.
    licence: str | None = None
    #: Hold the answer to a JSON schema; false for an endpoint that refuses `response_format`.
    constrained: bool = True
    #: Questions under way at a time.
    concurrency: int = Field(default=4, ge=1, le=256)
    #: Seconds for one answer.
    timeout_s: float = Field(default=120.0, gt=0)
    #: Tries of one question, with growing pauses, before its section is left for the next run.
    attempts: int = Field(default=5, ge=1)
    #: Price of a million tokens of prompts, in the currency of `budget`.
    price_prompt: float = Field(default=0.0, ge=0)
    #: Price of a million tokens of answers.
    price_completion: float = Field(default=0.0, ge=0)
    #: Most that one run may cost; none: no limit.
    budget: float | None = Field(default=None, ge=0)
    #: Most tokens of one run, prompts and answers together.
    budget_tokens: int | None = Field(default=None, ge=0)


class FetchSettings(Section):
    """Where upstream publications come from; their bytes are kept under `<data>/raw`."""

    #: `auto`: the installed package, then the mirror, then the network; otherwise that one alone.
    mode: Literal["auto", "package", "mirror", "network"] = "auto"
    #: Seconds without a byte before a request is given up.
    timeout_s: float = 60.0
    #: Tries of one request before the source is unavailable.
    attempts: int = 4
    #: Take a file whose checksum changed upstream, where the catalog pins none.
    accept_changes: bool = False


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
    #: PostgreSQL 15 or newer; without it `securetag up` starts one of its own.
    database_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("DATABASE_URL", "database_url")
    )
    #: Address of an Ollama server, for the backend `ollama`.
    ollama_host: str | None = Field(default=None, validation_alias=AliasChoices("OLLAMA_HOST", "ollama_host"))
    #: Key of the RunPod account that rents GPUs for training.
    runpod_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("RUNPOD_API_KEY", "runpod_api_key")
    )
    #: Key of NVD's API: 50 requests in 30 seconds instead of 5.
    nvd_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("NVD_API_KEY", "nvd_api_key")
    )
    #: Token for gated models and for pushes to the Hugging Face hub.
    hf_token: SecretStr | None = Field(default=None, validation_alias=AliasChoices("HF_TOKEN", "hf_token"))
    #: fsspec URL under which uploads and artifacts lie; by default `<home>/artifacts`.
    storage_url: str | None = None
    #: Key id of the S3 bucket that `storage_url` names; by default what the AWS libraries find.
    aws_access_key_id: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("AWS_ACCESS_KEY_ID", "aws_access_key_id")
    )
    #: Secret that belongs to the key id.
    aws_secret_access_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key")
    )
    api: ApiSettings = ApiSettings()
    worker: WorkerSettings = WorkerSettings()
    semgrep: SemgrepSettings = SemgrepSettings()
    triage: TriageSettings = TriageSettings()
    teacher: TeacherSettings = TeacherSettings()
    fetch: FetchSettings = FetchSettings()

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
        if self.pepper_previous is not None and self.pepper_previous_until is None:
            raise ValueError("SECURETAG_PEPPER_PREVIOUS needs an end: set SECURETAG_PEPPER_PREVIOUS_UNTIL")
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
    def models_dir(self) -> Path:
        """Where the embedded runtime's registry and GGUF files lie."""
        return self.home / "models"

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
    variables = {name.upper(): name for name in [*_variables(Settings, PREFIX), *files, *OTHER_VARIABLES]}
    for name, value in environment.items():
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in variables:
            continue
        if _SERVICE_LINK.search(upper) or value.startswith(("tcp://", "udp://", "sctp://")):
            continue
        candidates = {variable.removeprefix(PREFIX): variable for variable in variables}
        raise SettingsError(f"{name} is no setting", hint=_suggest(upper.removeprefix(PREFIX), candidates))


def _variables(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Yield every variable that sets a field of `model`, or one of its sections as JSON."""
    for name, field in model.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices):
            yield str(field.validation_alias.choices[0])
            continue
        yield prefix + name.upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _variables(field.annotation, f"{prefix}{name.upper()}__")


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
