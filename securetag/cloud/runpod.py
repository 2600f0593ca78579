"""Pods and serverless endpoints of RunPod, by its REST API v2: https://docs.runpod.io/api-reference-v2."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal
from urllib.parse import quote

import httpx
import msgspec

from securetag.cloud.http import CloudHttp
from securetag.errors import InputError, NotFoundError, UnavailableError
from securetag.records import JsonObject
from securetag.system.clock import format_utc

Cloud = Literal["SECURE", "COMMUNITY"]
#: States from which a pod doesn't come back by itself.
DEAD_STATES = frozenset({"EXITED", "ERROR", "TERMINATED"})
#: Lines of a pod's past that RunPod sends at most.
MAX_LOG_LINES = 5000
#: Seconds after which a stream of log lines is left.
MAX_STREAM_S = 60.0
#: What RunPod appends to the name of an endpoint with FlashBoot.
_FLASHBOOT_SUFFIX = " -fb"


class GpuPrice(msgspec.Struct, frozen=True):
    """USD an hour for one GPU."""

    secure: float
    community: float
    serverless: float | None = None


class GpuType(msgspec.Struct, frozen=True):
    """A kind of GPU; `pool` names it for serverless endpoints."""

    id: str
    pool: str | None
    memory: int
    price: GpuPrice
    #: Stock of pods: NONE, LOW, MEDIUM or HIGH; None where it wasn't asked for.
    availability: str | None = None


class Pod(msgspec.Struct, frozen=True):
    """A container on a rented GPU. `status`: PROVISIONING, STARTING, RUNNING, EXITED, ERROR, TERMINATED."""

    id: str
    name: str
    status: str
    #: USD an hour, as it is billed now.
    cost: float


class LogLine(msgspec.Struct, frozen=True):
    """One line that a pod's container wrote. `id` resumes the stream after it."""

    id: str
    line: str


class ServerlessEndpoint(msgspec.Struct, frozen=True):
    """An endpoint whose workers start on demand."""

    id: str
    name: str
    workers: dict[str, int] = {}


class _Pods(msgspec.Struct, frozen=True):
    pods: list[Pod]


class _Amounts(msgspec.Struct, frozen=True, rename="camel"):
    total_amount: float


class _BillingMetadata(msgspec.Struct, frozen=True):
    totals: _Amounts


class _Billing(msgspec.Struct, frozen=True):
    metadata: _BillingMetadata


class _NetworkVolume(msgspec.Struct, frozen=True, rename="camel"):
    data_center: str


class _Endpoints(msgspec.Struct, frozen=True):
    endpoints: list[ServerlessEndpoint]


class _GpuTypes(msgspec.Struct, frozen=True):
    gpus: list[GpuType]


class RunPod:
    """A client with one account's key."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = CloudHttp(
            "RunPod", url, api_key, variable="RUNPOD_API_KEY", transport=transport, sleep=sleep
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def gpu(self, gpu_id: str) -> GpuType:
        """Return a kind of GPU by its id. Raises NotFoundError."""
        return self._http.read(GpuType, "GET", f"/v2/catalog/gpus/{quote(gpu_id, safe='')}")

    def list_gpus(self, count: int, cloud: Cloud) -> list[GpuType]:
        """Return every kind of GPU with its stock for a pod of `count` of them."""
        return self._http.read(
            _GpuTypes,
            "GET",
            "/v2/catalog/gpus",
            include="AVAILABILITY",
            product="POD",
            count=count,
            cloud=cloud,
        ).gpus

    def pool_price(self, pool: str) -> float:
        """Return the highest price an hour of a serverless pool. Raises InputError for an unknown one."""
        gpus = self._http.read(_GpuTypes, "GET", "/v2/catalog/gpus").gpus
        prices = [gpu.price.serverless for gpu in gpus if gpu.pool == pool and gpu.price.serverless]
        if not prices:
            raise InputError(
                f"RunPod has no serverless pool {pool}", hint="Set SECURETAG_CLOUD__GPU_POOL to another one."
            )
        return max(prices)

    def pods(self) -> list[Pod]:
        """Return every pod of the account."""
        return self._http.read(_Pods, "GET", "/v2/pods").pods

    def pod(self, pod_id: str) -> Pod:
        """Return a pod. Raises NotFoundError."""
        return self._http.read(Pod, "GET", f"/v2/pods/{pod_id}")

    def stream_logs(
        self,
        pod_id: str,
        last_event_id: str | None = None,
        *,
        read_timeout_s: float = 60.0,
        max_s: float = MAX_STREAM_S,
    ) -> Iterator[LogLine]:
        """Yield the lines of a pod's container after `last_event_id`, until RunPod ends the stream.

        After `max_s` seconds this side ends it, whatever still comes, so that the caller can look at its
        deadline; the next call goes on after the last line. Raises NotFoundError, and UnavailableError where
        the stream breaks off, or pauses for `read_timeout_s`.
        """
        from httpx_sse import EventSource, SSEError

        headers = {"Accept": "text/event-stream"}
        query = {"source": "container"}
        if last_event_id is None:
            query["tail"] = str(MAX_LOG_LINES)
        else:
            headers["Last-Event-ID"] = last_event_id
        with self._http.stream(
            f"/v2/pods/{pod_id}/logs", headers=headers, read_timeout_s=read_timeout_s, **query
        ) as response:
            try:
                for event in EventSource(_limit(response, max_s)).iter_sse():
                    if not event.data:  # httpx-sse makes one of a comment, once an id came
                        continue
                    yield LogLine(event.id, str(json.loads(event.data)["line"]))
            except (SSEError, ValueError, KeyError, TypeError) as error:
                raise UnavailableError(f"RunPod's log of {pod_id} has another form: {error}") from error

    def measure_spending(self, since: datetime) -> float:
        """Return the USD that all pods of the account have cost since a time."""
        billing = self._http.read(
            _Billing, "GET", "/v2/billing/pods", startTime=format_utc(since), bucketSize="day"
        )
        return billing.metadata.totals.total_amount

    def find_data_center(self, volume_id: str) -> str:
        """Return where a network volume is; a pod that mounts it must be there too. Raises NotFoundError."""
        return self._http.read(_NetworkVolume, "GET", f"/v2/network-volumes/{volume_id}").data_center

    def create_pod(self, body: JsonObject) -> Pod:
        """Create a pod; it is PROVISIONING at first.

        Raises InputError for a body that the contract forbids, ConflictError where it can't be placed,
        PermissionDeniedError for a GPU that the account may not have, LimitError without credit.
        """
        return self._http.read(Pod, "POST", "/v2/pods", body=body)

    def delete_pod(self, pod_id: str) -> None:
        """Terminate a pod; no error where there is none."""
        self._delete(f"/v2/pods/{pod_id}")

    def endpoints(self) -> list[ServerlessEndpoint]:
        """Return every serverless endpoint of the account, by the names that they were given."""
        return [
            msgspec.structs.replace(endpoint, name=endpoint.name.removesuffix(_FLASHBOOT_SUFFIX))
            for endpoint in self._http.read(_Endpoints, "GET", "/v2/serverless").endpoints
        ]

    def create_endpoint(self, body: JsonObject) -> ServerlessEndpoint:
        """Create a serverless endpoint. Raises InputError where it is refused."""
        return self._http.read(ServerlessEndpoint, "POST", "/v2/serverless", body=body)

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Delete an endpoint; no error where there is none."""
        self._delete(f"/v2/serverless/{endpoint_id}")

    def _delete(self, path: str) -> None:
        try:
            self._http.send("DELETE", path)
        except NotFoundError:
            return


def _limit(response: httpx.Response, max_s: float) -> httpx.Response:
    """Return the answer cut off after `max_s` seconds: a comment that keeps it open is a moment to look."""
    until = time.monotonic() + max_s

    def read() -> Iterator[bytes]:
        for piece in response.iter_bytes():
            yield piece
            if time.monotonic() > until:
                return

    headers = {"Content-Type": response.headers.get("Content-Type", "")}
    return httpx.Response(response.status_code, headers=headers, content=read())
