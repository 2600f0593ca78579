"""The api as a client sees it: upload, wait, read findings, give feedback.

Used by `securetag scan` and by the demo, so that the demo proves what a user would call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

import httpx

from securetag.errors import SecuretagError, UnavailableError

TERMINAL = frozenset({"completed", "failed", "timeout", "cancelled", "dead_letter"})
#: Status → what a person at the command line can do; the api's own hints speak of its requests.
HINTS = {
    401: "Set SECURETAG_API_KEY to a key of this installation, or make one with `securetag key create`.",
    403: "Use a key with that scope; `securetag key create --scope` makes one.",
    404: "See that --api names a Securetag of this version, and that the key belongs to the same tenant.",
    409: "Run the command again.",
    500: "Read the api's log, then run the command again.",
    503: "Run the command again in a moment; if that doesn't help, read the api's log.",
}
#: The same by the type of the problem.
HINTS_BY_TYPE = {"urn:securetag:problem:invalid-request": "Correct what the message names, and run it again."}


class ApiError(SecuretagError):
    """The api refused a request; the message is its problem document's."""

    slug = "api"


class ApiClient:
    """A key's view of one api."""

    def __init__(self, url: str, key: str, *, timeout_s: float = 30.0) -> None:
        self._http = httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=timeout_s)

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def call(self, method: str, path: str, **options: Any) -> Any:
        """JSON of a successful answer. Raises ApiError with the problem's words, UnavailableError."""
        try:
            answer = self._http.request(method, path, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnavailableError(
                f"{self._http.base_url} does not answer: {error}",
                hint="Start it with `securetag up`, or name another with --api.",
            ) from error
        if answer.is_success:
            try:
                return answer.json() if answer.content else None
            except ValueError as error:
                raise UnavailableError(
                    f"{self._http.base_url} answers {path} with something else than JSON",
                    hint="Is it the address of a Securetag api?",
                ) from error
        try:
            problem = answer.json()
        except ValueError:
            problem = {}
        what = problem.get("detail") or problem.get("title") or answer.reason_phrase
        raise ApiError(
            f"the api refused ({answer.status_code}): {what}",
            hint=HINTS.get(answer.status_code)
            or HINTS_BY_TYPE.get(problem.get("type"))
            or problem.get("hint")
            or "",
        )

    def upload(self, archive: Path, *, project: str, key: str | None = None) -> str:
        """Upload a zip; returns the task's id. The same `key` never makes a second task."""
        with archive.open("rb") as content:
            answer = self.call(
                "POST",
                "/codeaudit/upload",
                files={"file": (archive.name, content, "application/zip")},
                data={"project": project},
                headers={"Idempotency-Key": key or str(uuid4())},
            )
        return str(answer["task_id"])

    def wait(
        self, task_id: str, *, timeout_s: float, progress: Callable[[str], None] | None = None
    ) -> dict[str, Any]:
        """Wait until the scan has ended and return it. Raises UnavailableError after `timeout_s`."""
        deadline, shown = time.monotonic() + timeout_s, ""
        while True:
            scan: dict[str, Any] = self.call("GET", f"/scans/{task_id}")
            stage = f"{scan['state']} {scan.get('stage') or ''}".strip()
            if progress is not None and stage != shown:
                progress(stage)
                shown = stage
            if scan["state"] in TERMINAL:
                return scan
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"scan {task_id} is still {scan['state']} after {timeout_s:.0f} s",
                    hint="Is a worker running? See its log below the home's logs folder.",
                )
            time.sleep(0.3)

    def findings(self, task_id: str) -> Iterator[dict[str, Any]]:
        """Return every finding of a scan, page by page."""
        cursor: str | None = None
        while True:
            page = self.call(
                "GET", f"/scans/{task_id}/findings", params={"cursor": cursor} if cursor else None
            )
            yield from page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return
