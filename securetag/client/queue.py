"""The queue over HTTP, as a worker sees it: claim, heartbeat, download, artifacts, result.

A 409 is FencedError: the lease is lost. Nothing is tried again here: a worker that waits is to see at once
that it was told to stop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import httpx
from pydantic import BaseModel

from securetag.client.http import HttpClient
from securetag.errors import (
    FencedError,
    InputError,
    SecuretagError,
    SettingsError,
    UnavailableError,
)
from securetag.settings.sections import WorkerSettings
from securetag.system.logs import REQUEST_ID_HEADER, read_request_id
from securetag.wire.base import Wire
from securetag.wire.queue import (
    LEASE_HEADER,
    PROTOCOL,
    PROTOCOL_HEADER,
    SHA256_HEADER,
    FindingsAnswer,
    FindingsRequest,
    HeartbeatAnswer,
    HeartbeatRequest,
    Lease,
    NextRequest,
    ResultAnswer,
    ResultRequest,
    TaskKind,
)

Item = TypeVar("Item", bound=BaseModel)

CHUNK = 1 << 18
#: Seconds that the api may take to store a result; its own limit (`api.result_timeout_s`) is shorter.
RESULT_TIMEOUT_S = 330.0
#: Seconds that one call may go without a byte; a long poll gets its waiting time on top.
TIMEOUT_S = 10.0


class QueueClient(HttpClient):
    """One worker's calls. Its methods may be called from several threads."""

    def __init__(
        self, settings: WorkerSettings, worker_id: str, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Raises SettingsError without a key."""
        if settings.api_key is None:
            raise SettingsError(
                "the worker has no API key",
                hint="Set SECURETAG_WORKER__API_KEY to a key with the scope `worker`.",
            )
        super().__init__(
            settings.api_url,
            settings.api_key.get_secret_value(),
            timeout_s=TIMEOUT_S,
            transport=transport,
            headers={PROTOCOL_HEADER: str(PROTOCOL)},
        )
        self._http.event_hooks = {"request": [_add_request_id]}
        self.worker_id = worker_id

    def error_class(self, status: int, slug: str) -> type[SecuretagError]:
        """Return FencedError for every 409: whatever the state of the task is, this lease is over."""
        return FencedError if status == httpx.codes.CONFLICT else super().error_class(status, slug)

    def next(self, kinds: list[TaskKind], wait_s: float) -> Lease | None:
        """A claimed task, or None when there is none within `wait_s` seconds."""
        request = NextRequest(worker_id=self.worker_id, kinds=kinds, wait_s=wait_s)
        response = self._post("/queue/next", request, timeout=TIMEOUT_S + wait_s)
        return None if response.status_code == httpx.codes.NO_CONTENT else self.parse(Lease, response)

    def heartbeat(self, lease: Lease, *, stage: str, process_group: int | None) -> HeartbeatAnswer:
        """Extend the lease. Raises FencedError when it is lost."""
        beat = HeartbeatRequest(task_id=lease.task_id, stage=stage[:200], process_group=process_group)
        return self.parse(HeartbeatAnswer, self._post("/queue/heartbeat", beat, lease=lease))

    def download(self, lease: Lease, target: Path) -> None:
        """Write the task's upload to `target`, over what is there. Raises UnavailableError if damaged."""
        if lease.upload is None:
            raise InputError("the task has no upload", hint="Upload the project again.")
        digest, size = hashlib.sha256(), 0
        try:
            with (
                self._http.stream(
                    "GET", f"/queue/tasks/{lease.task_id}/upload", headers=_lease_header(lease)
                ) as response,
                target.open("wb") as out,
            ):
                if response.is_error:
                    response.read()
                    raise self.read_error(response)
                for piece in response.iter_bytes(CHUNK):
                    digest.update(piece)
                    size += len(piece)
                    if size > lease.upload.size:
                        break
                    out.write(piece)
        except httpx.HTTPError as error:
            raise self.describe_failure(error) from error
        if (digest.hexdigest(), size) != (lease.upload.sha256, lease.upload.size):
            raise UnavailableError("the upload arrived damaged", hint="The task is tried again.")

    def put_artifact(self, lease: Lease, name: str, path: Path, *, limit: int) -> None:
        """Store a tool's output; of more than `limit` bytes the beginning, with a line that says so."""
        body = _beginning(path, limit)
        digest = hashlib.sha256(body).hexdigest()
        headers = {**_lease_header(lease), SHA256_HEADER: digest, "Content-Type": "application/octet-stream"}
        self.send("PUT", f"/queue/tasks/{lease.task_id}/artifacts/{name}", headers=headers, content=body)

    def findings(self, lease: Lease, request: FindingsRequest) -> FindingsAnswer:
        """Store findings before their triage. Raises FencedError when the attempt has ended."""
        return self._send_lines(FindingsAnswer, "/queue/findings", lease, request)

    def result(self, lease: Lease, request: ResultRequest) -> ResultAnswer:
        """End the attempt. Raises FencedError when it has ended already, or is somebody else's."""
        return self._send_lines(ResultAnswer, "/queue/result", lease, request)

    def _send_lines(
        self, kind: type[Item], path: str, lease: Lease, request: FindingsRequest | ResultRequest
    ) -> Item:
        headers = {
            **_lease_header(lease),
            "Content-Type": "application/x-ndjson",
            "Content-Length": str(result_size(request)),
        }
        timeout = httpx.Timeout(TIMEOUT_S, read=RESULT_TIMEOUT_S)
        content = _joined(result_lines(request))
        return self.read(kind, "POST", path, headers=headers, content=content, timeout=timeout)

    def _post(
        self, path: str, body: Wire, *, lease: Lease | None = None, timeout: float = TIMEOUT_S
    ) -> httpx.Response:
        headers = {"Content-Type": "application/json", **(_lease_header(lease) if lease else {})}
        content = body.model_dump_json(by_alias=True).encode()
        return self.send("POST", path, headers=headers, content=content, timeout=timeout)


def result_lines(request: FindingsRequest | ResultRequest) -> Iterator[bytes]:
    """The body of a request: itself without its findings and verdicts, then a line for each of them."""
    verdicts = request.verdicts if isinstance(request, ResultRequest) else []
    empty: dict[str, list[Wire]] = {"findings": [], **({"verdicts": []} if verdicts else {})}
    yield request.model_copy(update=empty).model_dump_json(by_alias=True).encode() + b"\n"
    for item in (*request.findings, *verdicts):
        yield item.model_dump_json(by_alias=True).encode() + b"\n"


def result_size(request: FindingsRequest | ResultRequest) -> int:
    """Bytes of that body."""
    return sum(len(line) for line in result_lines(request))


def _joined(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are worth a system call."""
    piece = bytearray()
    for line in lines:
        piece += line
        if len(piece) >= CHUNK:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def _add_request_id(request: httpx.Request) -> None:
    """Name the attempt that a call belongs to; the api's log has the same id."""
    if identity := read_request_id():
        request.headers[REQUEST_ID_HEADER] = identity


def _lease_header(lease: Lease) -> dict[str, str]:
    return {LEASE_HEADER: lease.lease_token}


def _beginning(path: Path, limit: int) -> bytes:
    """A file's bytes; of more than `limit` so many that the line that says so fits too."""
    size = path.stat().st_size
    with path.open("rb") as source:
        if size <= limit:
            return source.read(limit)
        line = f"\n… cut: the whole output had {size:,} bytes\n".encode()
        return source.read(limit - len(line)) + line
