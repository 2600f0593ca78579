"""A queue in this process that holds the worker to `securetag.wire.queue`, and small projects to scan.

It is a fake: no database, no leases that run out by themselves. `tests/worker/test_kill.py` has the real api.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4
from wsgiref.types import StartResponse, WSGIEnvironment

from securetag.wire.queue import (
    LEASE_HEADER,
    SHA256_HEADER,
    FindingsAnswer,
    FindingsRequest,
    HeartbeatAnswer,
    HeartbeatRequest,
    Lease,
    NextRequest,
    OccurrenceVerdict,
    ResultAnswer,
    ResultRequest,
    TriagedFinding,
    Upload,
)

KEY = "stk_test"
PROJECT = {
    "app.py": "import os\n\n\ndef run(request):\n    os.system(request.args['cmd'])\n",
    "README.md": "nothing",
}


def zipped(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return out.getvalue()


@dataclass
class FakeApi:
    """A WSGI application. `broken` answers in its stead while it isn't None: (status, body)."""

    archive: bytes = field(default_factory=lambda: zipped(PROJECT))
    queued: list[Lease] = field(default_factory=list)
    #: What was sent before a result; the result holds it too.
    sent: list[FindingsRequest] = field(default_factory=list)
    results: list[ResultRequest] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    stages: list[str] = field(default_factory=list)
    groups: list[int | None] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    #: `X-Request-ID` of each call.
    request_ids: list[str] = field(default_factory=list)
    #: Stage at whose first heartbeat something happens.
    cancel_at: str | None = None
    fence_at: str | None = None
    broken: Callable[[str], tuple[int, bytes] | None] = lambda _: None
    ended: bool = False

    zipped = staticmethod(zipped)

    def enqueue(self, **changes: Any) -> Lease:
        lease = Lease(
            **{
                "task_id": uuid4(),
                "kind": "codeaudit",
                "attempt": 1,
                "max_attempts": 3,
                "fence": 7,
                "lease_token": "token",
                "lease_s": 2,
                "time_limit_s": 60,
                "params": {},
                "upload": Upload(
                    sha256=hashlib.sha256(self.archive).hexdigest(), size=len(self.archive), filename="p.zip"
                ),
                **changes,
            }
        )
        self.queued.append(lease)
        return lease

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        self.calls.append(path)
        self.request_ids.append(environ.get("HTTP_X_REQUEST_ID", ""))
        status, answer = self.broken(path) or self._answer(method, path, body, environ)
        start(f"{status} X", [("Content-Type", "application/octet-stream")])
        return [answer]

    def _answer(self, method: str, path: str, body: bytes, environ: WSGIEnvironment) -> tuple[int, bytes]:
        if environ.get("HTTP_X_API_KEY") != KEY:
            return 401, problem("unknown key")
        if path == "/queue/next":
            NextRequest.model_validate_json(body)
            return (200, self.queued.pop(0).model_dump_json().encode()) if self.queued else (204, b"")
        if environ.get("HTTP_" + LEASE_HEADER.upper().replace("-", "_")) != "token" or self.ended:
            return 409, problem("the lease is lost")
        if path == "/queue/heartbeat":
            beat = HeartbeatRequest.model_validate_json(body)
            self.stages.append(beat.stage)
            self.groups.append(beat.process_group)
            if self.fence_at and beat.stage.startswith(self.fence_at):
                return 409, problem("the lease is lost")
            cancelled = bool(self.cancel_at and beat.stage.startswith(self.cancel_at))
            return 200, HeartbeatAnswer(
                lease_until=datetime.now(UTC), cancelled=cancelled
            ).model_dump_json().encode()
        if path.endswith("/upload"):
            return 200, self.archive
        if method == "PUT":
            if (
                environ.get("HTTP_" + SHA256_HEADER.upper().replace("-", "_"))
                != hashlib.sha256(body).hexdigest()
            ):
                return 422, problem("digest")
            self.artifacts[path.rsplit("/", 1)[-1]] = body
            return 200, b"{}"
        first, *lines = body.splitlines()
        if path == "/queue/findings":
            sent = FindingsRequest.model_validate_json(first)
            findings = [TriagedFinding.model_validate_json(line) for line in lines]
            self.sent.append(sent.model_copy(update={"findings": findings}))
            answer = FindingsAnswer(
                task_id=sent.task_id, occurrence_ids=[UUID(int=n) for n in range(len(lines))]
            )
            return 200, answer.model_dump_json().encode()
        result = ResultRequest.model_validate_json(first)
        if result.findings_sent:
            result = self._merged(result, [OccurrenceVerdict.model_validate_json(line) for line in lines])
        else:
            findings = [TriagedFinding.model_validate_json(line) for line in lines]
            result = result.model_copy(update={"findings": [*result.findings, *findings]})
        self.results.append(result)
        self.ended = True
        ended = ResultAnswer(task_id=result.task_id, state=result.outcome, findings=len(result.findings))
        return 200, ended.model_dump_json().encode()

    def _merged(self, result: ResultRequest, verdicts: list[OccurrenceVerdict]) -> ResultRequest:
        """The result as if it had brought what was sent before."""
        sent = self.sent[-1]
        by_id = {item.occurrence_id: item.verdict for item in verdicts}
        findings = [
            item.model_copy(update={"verdict": by_id.get(UUID(int=number))})
            for number, item in enumerate(sent.findings)
        ]
        executions = [*sent.tool_executions, *result.tool_executions]
        return result.model_copy(
            update={"findings": findings, "tool_executions": executions, "inventory": sent.inventory}
        )


def problem(detail: str) -> bytes:
    return json.dumps({"detail": detail, "hint": "a hint"}).encode()
