"""One connection to a cloud: repetition where it is harmless, errors that say what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx
import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential

from securetag.errors import (
    AuthenticationError,
    ConflictError,
    InputError,
    LimitError,
    NotFoundError,
    PermissionDeniedError,
    SecuretagError,
    UnavailableError,
)
from securetag.records import JsonObject

T = TypeVar("T")

TIMEOUT_S = 30.0
#: Tries of a request that may be repeated.
TRIES = 5
#: Seconds between two of them, where the cloud doesn't say how long to wait.
_PAUSE = wait_exponential(multiplier=0.5, max=10)


class CloudHttp:
    """The connection. `variable` names the setting that holds the token, for messages."""

    def __init__(
        self,
        provider: str,
        base_url: str,
        token: str,
        *,
        variable: str,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._provider, self._variable, self._sleep = provider, variable, sleep
        self._http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
            transport=transport,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def read(
        self, kind: type[T], method: str, path: str, *, body: JsonObject | None = None, **query: str | int
    ) -> T:
        """Return the answer as a `kind`. Raises as `send` does, UnavailableError for another shape."""
        response = self.send(method, path, body=body, **query)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnavailableError(
                f"{self._provider} answers {method} {path} in another form: {error}",
                hint="Is the address in securetag.toml right? Otherwise its API has changed.",
            ) from error

    def send(
        self, method: str, path: str, *, body: JsonObject | None = None, **query: str | int
    ) -> httpx.Response:
        """Return a successful answer.

        Everything but a creation is repeated after a failure that may pass. A creation isn't: it may have
        been done although no answer came, so its caller looks for what it made.
        Raises AuthenticationError, PermissionDeniedError (403), LimitError, NotFoundError, ConflictError (400
        and 409), InputError, UnavailableError.
        """
        retrying = Retrying(
            sleep=self._sleep,
            stop=stop_after_attempt(1 if method == "POST" else TRIES),
            retry=retry_if_exception_type(UnavailableError),
            wait=_pause,
            reraise=True,
        )
        response: httpx.Response = retrying(self._send_once, method, path, body, query)
        return response

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        read_timeout_s: float = TIMEOUT_S,
        **query: str,
    ) -> Iterator[httpx.Response]:
        """Yield the answer to a GET while its body arrives. Raises as `send` does, in the block too."""
        timeout = httpx.Timeout(TIMEOUT_S, read=read_timeout_s)
        try:
            with self._http.stream("GET", path, headers=headers, params=query, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise self._error(response, f"GET {path}")
                yield response
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> UnavailableError:
        return UnavailableError(
            f"{self._provider} does not answer: {error or type(error).__name__}",
            hint="Look at the network and at the provider's status page, then run the command again.",
        )

    def _send_once(
        self, method: str, path: str, body: JsonObject | None, query: dict[str, str | int]
    ) -> httpx.Response:
        try:
            response = self._http.request(method, path, json=body, params=query)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        if response.is_success:
            return response
        raise self._error(response, f"{method} {path}")

    def _error(self, response: httpx.Response, request: str) -> SecuretagError:
        status = response.status_code
        what = f"{self._provider} answers {status} to {request}: {_reason(response)}"
        if status in {401, 403}:
            kind = AuthenticationError if status == 401 else PermissionDeniedError
            return kind(what, hint=f"Set {self._variable} to a token that may do this.")
        if status == 402:
            return LimitError(what, hint=f"Add credit to the {self._provider} account.")
        if status == 404:
            return NotFoundError(what, hint="`securetag cloud list` shows what there is.")
        if status < 500 and status not in {408, 429}:
            refusal = ConflictError if status in {400, 409} else InputError
            return refusal(what, hint="Correct the settings of `cloud`, or try another region or GPU.")
        error = UnavailableError(what, hint="Run the command again in a moment.")
        after = response.headers.get("Retry-After", "")
        error.retry_after_s = float(after) if after.isdigit() else None
        return error


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    after = getattr(error, "retry_after_s", None)
    return float(_PAUSE(state)) if after is None else min(float(after), 60.0)


def _reason(response: httpx.Response) -> str:
    """Return the message of a problem: RunPod's `detail` and `errors`, DigitalOcean's `message`."""
    try:
        body = response.json()
    except ValueError:
        return response.text[:200]
    if not isinstance(body, dict):
        return str(body)[:200]
    reasons = [body.get("detail") or body.get("message") or body.get("title") or "", *body.get("errors", [])]
    return "; ".join(str(reason) for reason in reasons if reason)[:500]
