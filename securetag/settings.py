"""One tree of settings: flag > environment > `securetag.toml` > default.

Environment names begin with `SECURETAG_` (`SECURETAG_API__PORT=8080` for `api.port`), except the
few that everyone spells alike: `DATABASE_URL`, `OLLAMA_HOST`, `RUNPOD_API_KEY`, `HF_TOKEN`.

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
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from securetag.errors import SettingsError

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

    #: Address to listen on; anything but loopback needs TLS and a proxy in front.
    host: str = "127.0.0.1"
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
    #: Sent to the model's endpoint, of either kind, as a bearer token.
    api_key: SecretStr | None = None
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


class PublishSettings(Section):
    """How models are published to Ollama."""

    #: Versions of an alias that stay on the server, the newest included.
    keep_versions: int = Field(default=3, ge=1)


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


class CloudSettings(Section):
    """A deployment on rented machines (`securetag cloud`): a droplet, and a GPU for the model."""

    #: USD an hour, of everything together, above which nothing is created.
    max_price_per_hour: float = Field(default=1.5, ge=0)
    #: USD a month, if everything runs all month, above which nothing is created.
    monthly_budget: float = Field(default=1_000.0, ge=0)
    #: What of RunPod's: a pod with Ollama, or a serverless endpoint with vLLM.
    model: Literal["pod", "serverless"] = "pod"
    #: RunPod's id of the pod's GPU.
    gpu: str = "NVIDIA L4"
    #: Whose hardware: RunPod's own (SECURE), or that of others (COMMUNITY).
    gpu_cloud: Literal["SECURE", "COMMUNITY"] = "SECURE"
    #: Image of the pod: Ollama behind a proxy that asks for a key (deploy/cloud/model-pod.Dockerfile).
    pod_image: str | None = None
    #: GB of the pod's disk.
    pod_disk: int = Field(default=40, ge=1)
    #: RunPod's pool of GPUs for serverless workers.
    gpu_pool: str = "ADA_24"
    #: Workers of the serverless endpoint that are always warm, and cost all month.
    min_workers: int = Field(default=0, ge=0)
    #: Workers of the serverless endpoint at most.
    max_workers: int = Field(default=1, ge=1)
    #: Hugging Face id of the merged model that vLLM serves.
    hub_model: str | None = None
    #: Its commit.
    hub_revision: str = "main"
    #: A RunPod key restricted to the serverless endpoint, which the worker gets.
    endpoint_key: SecretStr | None = None
    #: DigitalOcean's slug of the droplet's size.
    droplet_size: str = "s-4vcpu-8gb"
    #: DigitalOcean's slug of its region.
    droplet_region: str = "fra1"
    #: DigitalOcean's slug of its image, which must have cloud-init and apt.
    droplet_image: str = "ubuntu-24-04-x64"
    #: Fingerprints or ids of the SSH keys that open the droplet.
    ssh_keys: list[str] = []
    #: Git repository from which the droplet builds the images.
    source: str | None = None
    #: Its branch or tag.
    source_ref: str = "main"
    #: Public name of the api; by default the droplet's address at sslip.io.
    domain: str | None = None
    #: Address of the droplet's api.
    api_url: str = "https://{domain}"
    #: Address of the pod's Ollama.
    pod_url: str = "https://{id}-11434.proxy.runpod.net"
    #: OpenAI-compatible address of the serverless endpoint.
    endpoint_url: str = "https://api.runpod.ai/v2/{id}/openai/v1"
    #: Address of DigitalOcean's API.
    digitalocean_url: str = "https://api.digitalocean.com"
    #: Address of RunPod's API.
    runpod_url: str = "https://api.runpod.io"


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", toml_file="securetag.toml", extra="forbid"
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
    #: fsspec URL under which uploads and artifacts lie; by default `<home>/artifacts`.
    storage_url: str | None = None
    api: ApiSettings = ApiSettings()
    worker: WorkerSettings = WorkerSettings()
    semgrep: SemgrepSettings = SemgrepSettings()
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
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @model_validator(mode="after")
    def _absolute_and_safe(self) -> Settings:
        self.home = self.home.expanduser().absolute()
        self.data = self.data.expanduser().absolute()
        if self.mirror is not None:
            self.mirror = self.mirror.expanduser().absolute()
        if self.catalog is not None:
            self.catalog = self.catalog.expanduser().absolute()
        if self.environment == "production" and self.pepper.get_secret_value() == LOCAL_PEPPER:
            raise ValueError("SECURETAG_PEPPER must be set to a secret of your own in production")
        return self

    @property
    def storage(self) -> str:
        """fsspec URL of the root of uploads and artifacts."""
        return self.storage_url or (self.home / "artifacts").as_uri()

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
    variables = {name.upper(): name for name in [*_variables(Settings, PREFIX), *OTHER_VARIABLES]}
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
