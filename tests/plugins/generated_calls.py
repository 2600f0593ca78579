"""Schemathesis against the api in a process of its own: calls generated from its OpenAPI document.

Each call has a valid key, and mostly ids and leases that exist, so that it gets past the first check. No
answer is a 5xx, and each has a status, a media type and a body that the document says.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import api_process
import requests
import schemathesis
from api_in_process import Api
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from owned_rows import ARCHIVE, OwnedRows, make_owned_rows, renew_lease
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks
from sqlalchemy import make_url

from securetag.wire.queue import LEASE_HEADER, PROTOCOL, PROTOCOL_HEADER

log = logging.getLogger(__name__)

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
#: Of ten calls: how many have an id, a lease or a file that exists in place of a generated one.
VALID_IN_TEN = 8
#: Streams until the scan ends, which a queued one never does here.
STREAM = "/scans/{task_id}/events"


class Caller:
    """Sends generated calls with the keys and ids of tenants that it has made as it needs them."""

    def __init__(
        self, api: Api, url: str, loop: asyncio.AbstractEventLoop, private: tuple[str, ...] = ()
    ) -> None:
        self.api = api
        #: Folders and addresses of the installation, which no answer names.
        self.private = private
        self.url = url
        self.sent: Counter[int] = Counter()
        self.faults: dict[str, str] = {}
        self._loop = loop
        self._session = requests.Session()
        self._operator_key, self._worker_key = "", ""
        self._owned: OwnedRows | None = None

    def _await(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=120)

    def send_all(self, examples: int) -> None:
        """Send so many calls of each operation, half of them valid by the document and half not."""
        schema = schemathesis.openapi.from_url(f"{self.url}/openapi.json")
        for result in schema.get_all_operations():
            assert isinstance(result, Ok), result.err()
            operation = result.ok()
            log.info("%s after %s calls", operation.label, self.sent.total())
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
                self._send(operation, mode, examples // 2)

    def _send(self, operation: Any, mode: schemathesis.GenerationMode, examples: int) -> None:
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), choice=st.integers(0, 9))
        def send(case: Any, choice: int) -> None:
            self._call(case, is_valid=choice < VALID_IN_TEN)

        # Nothing can be wrong with a call that takes no parameters.
        is_optional = mode is schemathesis.GenerationMode.NEGATIVE
        with contextlib.suppress(*([Unsatisfiable] if is_optional else [])):
            send()

    def _call(self, case: Any, *, is_valid: bool) -> None:
        owned = self._owned = self._owned or self._await(make_owned_rows(self.api))
        headers = {"X-API-Key": self._choose_key(case.path)}
        ids = dict(owned.ids)
        if case.path.startswith("/queue/"):
            ids["task_id"] = owned.leased_task_id
            headers |= {PROTOCOL_HEADER: str(PROTOCOL)}
            if is_valid:
                headers[LEASE_HEADER] = owned.lease_token
            if isinstance(case.body, dict) and isinstance(case.body.get("wait_s"), (int, float)):
                case.body["wait_s"] = min(case.body["wait_s"], 0)
        if is_valid or case.path == STREAM:
            case.path_parameters = {
                name: ids.get(name, value) for name, value in (case.path_parameters or {}).items()
            }
        if is_valid and isinstance(case.body, dict):
            case.body = _with_ids(case.body, ids)
            if "file" in case.body:
                case.body["file"] = ARCHIVE.getvalue()
        # Not as arguments of the call: a generated header of the same name would win.
        case.headers = {**(case.headers or {}), **headers}
        answer = case.call(base_url=self.url, session=self._session, timeout=60)
        self.sent[answer.status_code] += 1
        text = f"{dict(answer.headers)}\n{answer.text}"
        for place in self.private:
            if place in text:
                fault = f"{case.method} {case.path} {answer.status_code}: names {place}"
                self.faults.setdefault(fault[:160], f"{case.as_curl_command()}\n{text[:2_000]}")
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            for failure in group.exceptions:
                log.warning("%s %s %s: %s", case.method, case.path, answer.status_code, failure)
                fault = f"{case.method} {case.path} {answer.status_code}: {failure}"
                self.faults.setdefault(fault[:160], f"{case.as_curl_command()}\n{answer.text[:500]}")
        # Its rows are gone, or may be.
        if answer.status_code == 401 or (case.method == "DELETE" and answer.status_code < 300):
            self._owned = None
        elif case.path.startswith("/queue/") and answer.status_code in {200, 409}:
            self._await(renew_lease(self.api, owned))

    def _choose_key(self, path: str) -> str:
        if path.startswith("/queue/"):
            self._worker_key = self._worker_key or self._await(self.api.tenant("worker")).key
            return self._worker_key
        if path.startswith("/tenants"):
            self._operator_key = self._operator_key or self._await(self.api.tenant("admin", "worker")).key
            return self._operator_key
        assert self._owned is not None
        return self._owned.key


def _with_ids(body: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """Replace the ids of a body, on every level, by those that exist."""
    return {
        name: ids[name]
        if name in ids
        else [_with_ids(item, ids) if isinstance(item, dict) else item for item in value]
        if isinstance(value, list)
        else value
        for name, value in body.items()
    }


def list_private(home: Path, dsn: str, url: str) -> tuple[str, ...]:
    """Return what only whoever runs an installation knows: its folders, and its addresses inside."""
    database = make_url(dsn)
    socket_folder = str(database.query.get("host") or database.host or "")
    folders = {home, home.parent, Path(api_process.__file__).parents[2], Path(sys.prefix)}
    named = [*map(str, folders), dsn, "postgresql", socket_folder, url, str(database.password or "")]
    return tuple(sorted({text for text in named if len(text) > 8}))


async def send_generated(api: Api, dsn: str, home: Path, examples: int) -> int:
    """Send so many calls of each operation and return how many that were; no answer is at fault."""
    with api_process.running(home, dsn, reap_s="3600") as (process, url):
        caller = Caller(api, url, asyncio.get_running_loop(), list_private(home, dsn, url))
        await asyncio.to_thread(caller.send_all, examples)
        assert process.poll() is None
    print(f"{caller.sent.total()} calls: {dict(sorted(caller.sent.items()))}")
    assert not caller.faults, "\n\n".join(f"{fault}\n{call}" for fault, call in caller.faults.items())
    # Most calls get past the checks of key and form.
    assert caller.sent[401] < caller.sent.total() / 20
    return caller.sent.total()
