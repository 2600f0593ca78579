"""HTTP calls with our errors: a problem document becomes the exception that the api raised.

A call that may be repeated without doing something twice is tried again where the api doesn't answer or
says that it is away for the moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from securetag import errors
from securetag.errors import PROBLEM_TYPE, SecuretagError, UnavailableError
from securetag.system.version import package_version

Answer = TypeVar("Answer", bound=BaseModel)
#: Status or problem type of a refusal, 0 where no answer comes → what to do next, instead of the api's own.
Hints = Mapping[int | str, str]

#: Seconds that one call may go without a byte.
TIMEOUT_S = 30.0
#: Times that a call is sent which may be repeated.
TRIES = 3
#: Seconds between two tries at least and at most, where the api names none.
PAUSE_S = (0.2, 0.8)
#: Seconds that a `Retry-After` is waited for at most.
MAX_RETRY_AFTER_S = 10.0

#: An api on this machine is never asked through the proxy that the environment names.
_DIRECT: Mapping[str, httpx.BaseTransport | None] = {
    "all://localhost": None,
    "all://127.0.0.1": None,
    "all://[::1]": None,
}
#: Statuses of answers that come from something before the api, or from an older one → what they mean.
_BY_STATUS: Mapping[int, type[SecuretagError]] = {
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    408: UnavailableError,
    409: errors.ConflictError,
    410: errors.GoneError,
    413: errors.LimitError,
    422: errors.InputError,
    425: UnavailableError,
    429: UnavailableError,
}


def _list_errors(kind: type[SecuretagError]) -> dict[str, type[SecuretagError]]:
    slugs = {kind.slug: kind}
    for child in kind.__subclasses__():
        slugs |= {slug: error for slug, error in _list_errors(child).items() if slug not in slugs}
    return slugs


_BY_SLUG = _list_errors(SecuretagError)


class HttpClient:
    """A key's connection to one api. Its methods may be called from several threads."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
        hints: Hints | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"X-API-Key": key, "User-Agent": f"securetag/{package_version()}", **(headers or {})},
            timeout=timeout_s,
            transport=transport,
            mounts=_DIRECT,
        )
        self._hints = hints or {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, method: str, path: str, *, repeatable: bool = False, **options: Any) -> httpx.Response:
        """Return a successful answer; `options` are those of `httpx.Client.request`.

        Raises UnavailableError where the api doesn't answer or is away, otherwise the error that its problem
        document names.
        """
        retrying = Retrying(
            stop=stop_after_attempt(TRIES if repeatable else 1),
            retry=retry_if_exception_type(UnavailableError),
            wait=_pause,
            reraise=True,
        )
        response: httpx.Response = retrying(self._send_once, method, path, **options)
        return response

    def read(self, kind: type[Answer], method: str, path: str, **options: Any) -> Answer:
        """Return a successful answer as a `kind`; raises as `send` does."""
        return self.parse(kind, self.send(method, path, **options))

    def parse(self, kind: type[Answer], response: httpx.Response) -> Answer:
        """Return the answer's body as a `kind`. Raises UnavailableError where it is something else."""
        try:
            return kind.model_validate_json(response.content)
        except ValueError as error:
            raise UnavailableError(
                f"{self._http.base_url} answers {response.request.url.path} with something else than a "
                f"{kind.__name__}",
                hint="Is it the address of a Securetag api, of this version?",
            ) from error

    def describe_failure(self, error: Exception) -> UnavailableError:
        """Return our error for one of httpx's: no answer came."""
        return UnavailableError(
            f"{self._http.base_url} does not answer: {error or type(error).__name__}",
            hint=self._hints.get(0) or "Is the api running at this address?",
        )

    def _send_once(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.describe_failure(error) from error
        if not response.is_success:
            raise self.read_error(response)
        return response

    def read_error(self, response: httpx.Response) -> SecuretagError:
        """Return the error of an answer that isn't success."""
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            problem = {"hint": "Is there something else than the api at this address?"}
        name = str(problem.get("type") or "")
        reason = problem.get("detail") or problem.get("title") or response.reason_phrase
        error = self.error_class(response.status_code, name.removeprefix(PROBLEM_TYPE))(
            f"the api refused ({response.status_code}): {reason}",
            hint=self._hints.get(name)
            or self._hints.get(response.status_code)
            or str(problem.get("hint") or ""),
        )
        error.retry_after_s = _read_retry_after(response)
        return error

    def error_class(self, status: int, slug: str) -> type[SecuretagError]:
        """Return the class of error that a problem means."""
        other = UnavailableError if status >= 500 else SecuretagError
        return _BY_SLUG.get(slug) or _BY_STATUS.get(status, other)


def _read_retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return min(float(text), MAX_RETRY_AFTER_S) if text.isdecimal() else None


def _pause(state: RetryCallState) -> float:
    """Return the seconds until the next try: as the api asks, and a little more at random."""
    error = state.outcome.exception() if state.outcome is not None else None
    retry_after_s = error.retry_after_s if isinstance(error, SecuretagError) else None
    return (retry_after_s or 0.0) + wait_random(*PAUSE_S)(state)
