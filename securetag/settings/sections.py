"""The tables of the settings, one for each part of Securetag."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from securetag.records import Confidence, ModelLocation, PathClass

#: Kinds of bytes that may be kept for a number of days.
RetentionKind = Literal["uploads", "outputs", "transcripts"]

QUOTAS = ("scans_a_day", "bytes_a_day", "model_tokens_a_day", "open", "running", "calls_a_minute")


class Section(BaseModel):
    """A table of the file. An unknown name in it is refused: a misspelled one would do nothing, silently."""

    model_config = ConfigDict(extra="forbid")


class ApiSettings(Section):
    """The HTTP server."""

    #: Address to listen on; anything but loopback needs a proxy with TLS in front, and no default secrets.
    host: str = "127.0.0.1"
    #: How far the code of new tenants may go to be judged by a model, until an admin says otherwise: `local`,
    #: `operator` or `third_party` (docs/triage.md).
    model_policy: ModelLocation = "local"
    #: TLS ends at a proxy in front, which alone reaches the api's address.
    behind_proxy: bool = False
    #: 0 takes a free one.
    port: int = 8080
    #: Bytes of one uploaded archive.
    max_upload: int = 50 * 1024 * 1024
    #: Bytes of one SARIF file whose results are imported.
    max_sarif: int = 50 * 1024 * 1024
    #: Results of one such file.
    max_sarif_results: int = 25_000
    #: Bytes of one artifact that a worker stores.
    max_artifact: int = 20 * 1024 * 1024
    #: Bytes of one scan's result: 50,000 findings with their code are about 150 MB.
    max_result: int = 256 * 1024 * 1024
    #: Bytes of any other request body, and of one line of a result.
    max_body: int = 10 * 1024 * 1024
    #: Bytes of a request's line and headers together.
    max_head: int = Field(default=32 * 1024, ge=8 * 1024)
    #: Open connections; one more ends the one that has waited longest without a whole request.
    max_connections: int = Field(default=1024, ge=1)
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
    #: Quotas of tenants without their own: `scans_a_day`, `bytes_a_day`, `model_tokens_a_day`, `open` (scans
    #: that wait or run), `running`, `calls_a_minute` (docs/operations.md).
    quotas: dict[str, int] = {}
    #: Days that bytes of ended scans are kept: `uploads`, `outputs` of tools, `transcripts` of triage. What
    #: isn't named stays until its scan is deleted.
    retention_days: dict[RetentionKind, Annotated[int, Field(ge=1)]] = {}
    #: Seconds that a worker's lease lasts without a heartbeat (`securetag.wire.queue.LEASE_S`).
    lease_s: int = 30
    #: Seconds between two looks for leases that ran out.
    reap_s: float = 5.0
    #: Address of the Prometheus listener, which asks for no key and counts all tenants together.
    metrics_host: str = "127.0.0.1"
    #: Port of the Prometheus listener, which adds memory, CPU time and open files; 0 opens none.
    metrics_port: int = 0

    @field_validator("quotas")
    @classmethod
    def _check_quotas(cls, quotas: dict[str, int]) -> dict[str, int]:
        if wrong := [name for name, limit in quotas.items() if name not in QUOTAS or limit < 1]:
            raise ValueError(f"{wrong[0]!r} is no quota of at least 1; there are {', '.join(QUOTAS)}")
        return quotas


class WorkerSettings(Section):
    """A worker: it knows the api's address and a key with the worker scope, nothing else."""

    #: Where the queue is.
    api_url: str = "http://127.0.0.1:8080"
    #: A key with the worker scope.
    api_key: SecretStr | None = None
    #: Seconds that `POST /queue/next` may wait for work.
    poll_s: float = 10.0
    #: Kinds of tasks that it takes; a worker that scans web applications needs a way out to them.
    kinds: Annotated[list[Literal["codeaudit", "web", "import"]], Field(min_length=1)] = [
        "codeaudit",
        "web",
        "import",
    ]
    #: Scanners that read each upload, one after the other.
    scanners: Annotated[list[str], Field(min_length=1)] = ["semgrep", "secrets"]
    #: `required`: don't start where the kernel forbids that tools are isolated (docs/operations.md).
    isolation: Literal["auto", "required"] = "auto"
    #: Address of the worker's Prometheus listener, which asks for no key.
    metrics_host: str = "127.0.0.1"
    #: Port of that listener; 0 opens none.
    metrics_port: int = 0
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
    #: CPU-seconds for one rule on one file, after which the result names both.
    rule_timeout_s: float = Field(default=60.0, gt=0)
    #: Bytes of one file; a larger one is data or generated as a rule, and costs gigabytes of memory.
    max_file_bytes: int = Field(default=5_000_000, ge=1)
    #: Address-space limit of the scanner's processes, MiB.
    memory_mb: int = 4096
    #: Parallel jobs; 0 means the cores that this process may use.
    jobs: int = 0


class ExternalScannerSettings(Section):
    """A program that writes SARIF, run as a scanner (`[scanners.<name>]`, docs/howto/add-a-scanner.md)."""

    #: Program and arguments, run in the project's folder. `{report}` in an argument is a file that it writes
    #: its report to; without one the report is read from stdout.
    command: Annotated[list[str], Field(min_length=1)]
    #: Languages (`python`, `javascript`, …) of which the project must have a file; none: it always runs.
    languages: list[str] = []
    #: Exit codes after which its report counts.
    exit_codes: list[int] = [0, 1]
    #: CPU-seconds for one project.
    cpu_s: float = Field(default=120.0, ge=1)
    #: Seconds of wall time for one project, a guard against hangs.
    timeout_s: float = Field(default=600.0, gt=0)
    #: Address-space limit of each of its processes, MiB; one that runs on V8 needs far more than it uses.
    memory_mb: int = Field(default=2048, ge=64)
    #: Variables that it gets beside PATH, HOME and TMPDIR.
    environment: dict[str, str] = {}
    #: Id of a rule, or what the ids of several begin with → CWE, where the report names none.
    cwes: dict[str, str] = {}
    #: Confidence of rules that name none; at `low` they are shown where another engine agrees.
    confidence: Confidence = "low"
    #: How to install it, for `securetag doctor`.
    install: str = ""

    @field_validator("cwes")
    @classmethod
    def _check_cwes(cls, cwes: dict[str, str]) -> dict[str, str]:
        if wrong := [cwe for cwe in cwes.values() if not re.fullmatch(r"CWE-[1-9]\d*", cwe)]:
            raise ValueError(f"{wrong[0]!r} is not of the form CWE-89")
        return cwes


class EvidenceSettings(Section):
    """How findings are combined and ranked."""

    #: Globs of paths → what the files are for, tried before the names of folders and files: a class
    #: (`source`, `test`, `example`, `vendored`, `generated`) and its globs, in which `*` matches `/` too.
    path_classes: dict[PathClass, list[str]] = {}


class WebSettings(Section):
    """Scans of web applications: scanners, limits, and what proves the ownership of a target."""

    #: Scanners of web applications, one after the other. Nuclei is left out where it isn't installed.
    scanners: Annotated[list[str], Field(min_length=1)] = ["wapiti", "nuclei"]
    #: Wapiti's executable; by default the one in `.venv-wapiti` beside this environment, else PATH's.
    wapiti: Path | None = None
    #: Wapiti's modules that are run.
    wapiti_modules: Annotated[list[str], Field(min_length=1)] = [
        "xss",
        "permanentxss",
        "sql",
        "file",
        "exec",
        "redirect",
        "crlf",
        "csp",
        "http_headers",
        "cookieflags",
    ]
    #: Nuclei's executable; by default PATH's.
    nuclei: Path | None = None
    #: Folder of Nuclei's templates; without one Nuclei is left out.
    nuclei_templates: Path | None = None
    #: CPU-seconds for one scanner's run.
    cpu_s: float = Field(default=900.0, ge=1)
    #: Seconds of wall time for one scanner's run, after which it reports what it has.
    timeout_s: float = Field(default=1200.0, ge=10)
    #: Address-space limit of a scanner's processes, MiB.
    memory_mb: int = 4096
    #: Requests of one scanner's run; by HTTPS, connections.
    max_requests: int = Field(default=50_000, ge=1)
    #: Bytes of one scanner's run, in both directions.
    max_bytes: int = Field(default=1 << 30, ge=1)
    #: Days after which the ownership of a target has to be proven again.
    proof_days: int = Field(default=90, ge=1)
    #: DNS servers that are asked for the proof, each `address` or `address:port`; by default the system's.
    dns_servers: list[str] = []
    #: Let scans reach applications on this machine; refused in production.
    allow_loopback: bool = False


class TriageSettings(Section):
    """Which model triages, and within which bounds."""

    #: `runtime`: the embedded llama.cpp server; `ollama`: OLLAMA_HOST.
    backend: Literal["runtime", "ollama"] = "runtime"
    #: OpenAI-compatible base URL; by default the one in `<home>/run/services.json`.
    url: str | None = None
    #: Sent to the model's endpoint, of either kind, as a bearer token.
    api_key: SecretStr | None = None
    #: Where that endpoint is, which decides whose code it may be shown: `local` (these machines or their
    #: network), `operator` (rented for this installation alone) or `third_party`. By default an address on
    #: loopback is local and any other one third_party.
    location: ModelLocation | None = None
    #: The publisher's `registry.json`, or a copy of it, which says what gates served models have passed; by
    #: default the one in `<home>/models`.
    registry: Path | None = None
    #: Tried in this order; the first that the runtime serves answers.
    aliases: list[str] = ["securetag-v1", "securetag-base"]
    #: Form of prompt and answer: `compact` for the embedded model, `full` for the 8B one.
    profile: Literal["full", "compact"] = "compact"
    #: Language of prompts and recommendations.
    lang: Literal["en", "es"] = "en"
    #: Findings that a model is asked about at a time: the embedded runtime answers four together.
    concurrency: int = Field(default=4, ge=1, le=64)
    #: Seconds for one finding, after which it is `needs_review`; of several at a time each has as many times
    #: that, since they share the server.
    timeout_s: float = 30.0
    #: Seconds for all findings of one scan.
    budget_s: float = 600.0
    #: Findings below this aren't shown to the model, unless a shape is all that is known of them.
    min_severity: Literal["info", "low", "medium", "high", "critical"] = "high"
    #: Weaknesses that no model dismisses, whatever gate it has passed and a project allows: code and commands
    #: from outside, deserialization, weak cryptography, trust boundaries, credentials in the code.
    never_dismiss: list[Annotated[str, Field(pattern=r"^CWE-\d+$")]] = [
        "CWE-77",
        "CWE-78",
        "CWE-94",
        "CWE-95",
        "CWE-327",
        "CWE-328",
        "CWE-501",
        "CWE-502",
        "CWE-798",
    ]
    #: No model dismisses findings of this severity or a higher one, such as a critical SQL injection.
    never_dismiss_severity: Literal["info", "low", "medium", "high", "critical"] = "critical"


class PublishSettings(Section):
    """How models are published."""

    #: Versions of an alias that stay on Ollama's server, the newest included.
    keep_versions: int = Field(default=3, ge=1)
    #: Held-out rows that adapter, merged model and served file are compared on before a model is published.
    parity_rows: int = Field(default=200, ge=1)
    #: Share of these whose verdict may differ.
    max_flips: float = Field(default=0.01, ge=0, le=1)


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
    #: USD a month above which nothing is created: of a deployment that runs all month; of the month's pods
    #: with the next training at its longest.
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
    #: Image of the pods that train (deploy/runpod/train.Dockerfile).
    training_image: str | None = None
    #: USD an hour for one GPU above which no training is started.
    training_price: float = Field(default=4.0, ge=0)
    #: RunPod's id of the network volume that keeps the weights of bases between trainings.
    training_volume: str | None = None
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
