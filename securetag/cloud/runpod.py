"""Pods and serverless endpoints of RunPod, by its REST API v2: https://docs.runpod.io/api-reference-v2."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import msgspec

from securetag.cloud.http import CloudHttp
from securetag.errors import InputError, NotFoundError
from securetag.records import JsonObject

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


class Pod(msgspec.Struct, frozen=True):
    """A container on a rented GPU. `status`: PROVISIONING, STARTING, RUNNING, EXITED, ERROR, TERMINATED."""

    id: str
    name: str
    status: str
    #: USD an hour, as it is billed now.
    cost: float


class ServerlessEndpoint(msgspec.Struct, frozen=True):
    """An endpoint whose workers start on demand."""

    id: str
    name: str
    workers: dict[str, int] = {}


class _Pods(msgspec.Struct, frozen=True):
    pods: list[Pod]


class _Endpoints(msgspec.Struct, frozen=True):
    endpoints: list[ServerlessEndpoint]


class _GpuTypes(msgspec.Struct, frozen=True):
    gpus: list[GpuType]


class RunPod:
    """A client with one account's key."""

    def __init__(self, url: str, api_key: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._http = CloudHttp("RunPod", url, api_key, variable="RUNPOD_API_KEY", transport=transport)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def gpu(self, gpu_id: str) -> GpuType:
        """Return a kind of GPU by its id. Raises NotFoundError."""
        return self._http.read(GpuType, "GET", f"/v2/catalog/gpus/{quote(gpu_id, safe='')}")

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

    def create_pod(self, body: JsonObject) -> Pod:
        """Create a pod; it is PROVISIONING at first. Raises InputError where it is refused."""
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
