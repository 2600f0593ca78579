"""Look at a model's endpoint as a worker uses it, with the worker's own client and settings.

A rented model may be loading: what a repetition can mend is tried again until the stated patience ends.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import httpx

from securetag.cli.deployment.checks import Cause, Check, Report
from securetag.errors import ModelUnavailableError, NotFoundError, TriageError
from securetag.serving import smoke
from securetag.serving.client import OLLAMA_HOST, ModelClient, ModelInfo, connect
from securetag.serving.openai_reply import NotServedError
from securetag.serving.registry import Registry
from securetag.settings import Settings

T = TypeVar("T")

#: Questions whose times are compared with the limit of one finding.
TIMED_QUESTIONS = 3
#: Seconds between two tries of an endpoint whose model is loading.
PAUSE_S = 2.0
#: Digits of a model's id that tell it from the others.
SHOWN_DIGITS = 12

#: Status → cause. RunPod's proxy answers 404 and 502 while a pod starts, llama.cpp 503 while it loads.
_CAUSES: dict[int, Cause] = {
    401: "wrong_key",
    403: "wrong_key",
    404: "starting",
    502: "starting",
    503: "starting",
    504: "proxy_timeout",
    522: "proxy_timeout",
    524: "proxy_timeout",
}
_PASSING: frozenset[Cause] = frozenset({"starting", "proxy_timeout"})
_HINTS: dict[Cause, str] = {
    "unreachable": "Look at the address (OLLAMA_HOST or SECURETAG_TRIAGE__URL), and whether the server runs.",
    "not_json": "A login page or another server answers there: look at the address and at the proxy's rules.",
    "wrong_key": "Set SECURETAG_TRIAGE__API_KEY to the endpoint's key, in the worker's environment too.",
    "starting": "Look at the server's log; a large model needs minutes to load: wait longer with --patience.",
    "proxy_timeout": "A proxy cut it (RunPod: after 100 s): take a faster GPU, or keep a worker warm.",
    "no_model": "Publish it (`securetag publish`), or name what is served in SECURETAG_TRIAGE__ALIASES.",
    "failed": "Read the server's log, and try again.",
}


def check_model(
    settings: Settings, *, model_id: str | None, patience_s: float, report: Report
) -> list[Check]:
    """Return the checks of the model's endpoint, up to the first that leaves nothing more to look at.

    `model_id` is the id that the model must have; by default what this home's registry says of the alias.
    """
    client = connect(settings)
    began = time.monotonic()
    try:
        patience = _Patience(patience_s, report)
        info = patience.wait(lambda _: client.resolve())
        waited = time.monotonic() - began
        checks = [
            Check("model endpoint", True, f"{_address(settings)} serves {info.alias}, after {waited:.0f} s"),
            *_check_key(settings),
            _check_id(info, model_id or _registered(settings, info.alias)),
        ]
        return [*checks, *_check_answers(client, settings, patience)]
    except ModelUnavailableError as error:
        cause = classify(error)
        return [Check("model endpoint", False, str(error), cause, _HINTS[cause])]
    finally:
        client.close()


def classify(error: ModelUnavailableError) -> Cause:
    """Return why a call of the client failed."""
    cause = error.__cause__
    status = getattr(cause, "status_code", None)
    if isinstance(status, int) and status >= 400:
        return _CAUSES.get(status, "failed")
    if isinstance(cause, TimeoutError | httpx.TimeoutException):
        return "starting"
    if isinstance(cause, json.JSONDecodeError | UnicodeDecodeError):
        return "not_json"
    if isinstance(cause, NotServedError):
        return "no_model"
    if isinstance(cause, httpx.HTTPError | httpx.InvalidURL | OSError):
        return "unreachable"
    return "failed"


class _Patience:
    """Repeats a call while it fails in a way that passes by itself, for so many seconds in all."""

    def __init__(self, seconds: float, report: Report) -> None:
        self._ends, self._seconds, self._report = time.monotonic() + seconds, seconds, report

    def wait(self, call: Callable[[float], T]) -> T:
        """Return the result of `call`, which gets the seconds left. Raises its last ModelUnavailableError."""
        while True:
            try:
                return call(max(self._ends - time.monotonic(), 1.0))
            except ModelUnavailableError as error:
                left = self._ends - time.monotonic()
                if classify(error) not in _PASSING or left <= 0:
                    raise
                self._report(f"waiting for the model, {left:.0f} of {self._seconds:.0f} s left: {error}")
                time.sleep(min(PAUSE_S, left))


def _check_key(settings: Settings) -> list[Check]:
    """Return whether the endpoint refuses a request without its key; nothing where there is no key."""
    if settings.triage.api_key is None:
        return []
    path = "/api/tags" if settings.triage.backend == "ollama" else "/v1/models"
    url = _address(settings).rstrip("/").removesuffix("/v1") + path
    try:
        status = httpx.get(url, timeout=10, headers={"Authorization": "Bearer none"}).status_code
    except httpx.HTTPError as error:
        return [Check("key", False, f"{url}: {error}", "unreachable", _HINTS["unreachable"])]
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return [Check("key", True, f"the key is taken, another is refused ({status})")]
    hint = "Anybody can use the model: put a proxy in front that asks for the key (docs/serving.md)."
    return [Check("key", False, f"{url} answers {status} to a wrong key", "open_endpoint", hint)]


def _check_id(info: ModelInfo, expected: str | None) -> Check:
    name = "model"
    if expected is None:
        return Check(name, True, f"{info.model_id}, compared with nothing: --model-id names what it must be")
    if info.model_id.startswith(expected):
        return Check(name, True, info.model_id)
    if info.model_id.startswith("openai:") and expected[:SHOWN_DIGITS] in info.alias:
        # A server that isn't ours shows no id; whoever deployed it put the id into the name.
        return Check(name, True, f"{info.alias}, by its name alone")
    return Check(
        name,
        False,
        f"{info.alias} is {info.model_id}, not {expected}",
        "wrong_model",
        "Publish the wanted model again, or give the id of the one that is served with --model-id.",
    )


def _registered(settings: Settings, alias: str) -> str | None:
    try:
        return Registry(settings.models_dir).resolve(alias).model_id
    except NotFoundError:
        return None


def _check_answers(client: ModelClient, settings: Settings, patience: _Patience) -> list[Check]:
    """Ask triage questions: the first may wait for the model, the others are timed."""
    limit_s = settings.triage.timeout_s
    try:
        patience.wait(lambda left: smoke.ask(client, settings.triage, timeout_s=left))
        completions = [
            smoke.ask(client, settings.triage, timeout_s=10 * limit_s, logprobs=True)[0]
            for _ in range(TIMED_QUESTIONS)
        ]
    except TriageError as error:
        hint = "The server ignores the JSON schema: update it, or serve the model that fits the profile."
        return [Check("schema", False, str(error), "schema_ignored", hint)]
    except ModelUnavailableError as error:
        cause = classify(error)
        return [Check("schema", False, str(error), cause, _HINTS[cause])]
    seconds = [completion.duration_ms / 1000 for completion in completions]
    figures = f"median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s, limit {limit_s:g} s"
    is_fast = max(seconds) <= limit_s
    has_logprobs = all(completion.logprobs for completion in completions)
    return [
        Check("schema", True, f"{len(completions) + 1} answers fit the profile {settings.triage.profile}"),
        Check("latency", True, figures)
        if is_fast
        else Check(
            "latency",
            False,
            figures,
            "slow",
            "Findings would stay needs_review: take a faster GPU, or raise SECURETAG_TRIAGE__TIMEOUT_S.",
        ),
        Check("log-probabilities", True, "each token has its own")
        if has_logprobs
        else Check(
            "log-probabilities",
            False,
            "the server sends none",
            "no_logprobs",
            "Update the server: Ollama has them from 0.12.11 on, vLLM and llama.cpp always.",
        ),
    ]


def _address(settings: Settings) -> str:
    if settings.triage.backend == "ollama":
        return settings.ollama_host or OLLAMA_HOST
    from securetag.system.services import read_services

    return settings.triage.url or str(read_services(settings.run_dir).get("runtime", {}).get("url"))
