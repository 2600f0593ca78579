"""Fakes of two clouds: they rent nothing. They enforce the published contracts, and count what is left.

RunPod: every request and every answer is validated against the OpenAPI file of its REST API v2; a request
that it doesn't allow gets 422. DigitalOcean: what its published API v2 says of sizes and droplets, written
down below (https://github.com/digitalocean/openapi). A machine starts after a moment, and what it would run
is a function that the test gives.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from jsonschema import Draft202012Validator
from loopback_server import LoopbackServer

CHECKOUT = Path(__file__).resolve().parents[2]
CONTRACT = "contracts/runpod-rest-v2.openapi.json"
#: Starts what a machine would run, and returns what ends it.
Boot = Callable[[dict[str, Any]], Callable[[], None]]


def find_contract() -> dict[str, Any]:
    """RunPod's OpenAPI file beside the mirror or the checkout; without it the test is skipped, visibly."""
    mirror = os.environ.get("SECURETAG_MIRROR")
    places = [*([Path(mirror).absolute().parent] if mirror else []), CHECKOUT.parent / "shared"]
    for place in places:
        if (place / CONTRACT).is_file():
            contract: dict[str, Any] = json.loads((place / CONTRACT).read_text())
            return contract
    pytest.skip(f"no {CONTRACT} beside SECURETAG_MIRROR or in ../shared: a fake RunPod would enforce nothing")


class FakeCloud(LoopbackServer, ABC):
    """One HTTP server on loopback with a token; a subclass answers."""

    def __init__(self, token: str, *, boot: Boot | None = None) -> None:
        self.token, self.boot = token, boot
        #: Seconds after which a machine runs.
        self.start_s = 0.1
        #: Seconds that an answer takes, drawn anew for each: a killed client may miss that it was done.
        self.delay_s: tuple[float, float] = (0.0, 0.0)
        self.random = random.Random(0)
        self.lock = threading.RLock()
        self.numbers = itertools.count(1000)
        self.machines: dict[str, dict[str, Any]] = {}
        self.ends: dict[str, Callable[[], None]] = {}
        self.created: list[str] = []
        #: Called when a request has been done, before it is answered.
        self.observe: Callable[[], None] = lambda: None
        self.refusals: list[str] = []
        fake = self

        class Handler(_Handler):
            cloud = fake

        super().__init__(Handler)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for identity in list(self.ends):
            self.ends.pop(identity)()

    @abstractmethod
    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Do a request; return the status and the answer."""

    def stream(self, path: str, last_event_id: str | None) -> Iterator[str] | None:
        """Server-sent events of a path; None for a path that answers at once."""
        return None

    def refuse(self, status: int, reason: str) -> tuple[int, Any]:
        self.refusals.append(reason)
        return status, {"title": "refused", "status": status, "detail": reason, "id": "x", "message": reason}

    def add(self, identity: str, machine: dict[str, Any], running: str) -> None:
        """List a machine; after a moment it runs, and so does what it boots."""
        with self.lock:
            self.machines[identity] = machine
            self.created.append(identity)
        timer = threading.Timer(self.start_s, self._start, (identity, running))
        timer.daemon = True
        timer.start()

    def remove(self, identity: str) -> bool:
        with self.lock:
            machine = self.machines.pop(identity, None)
            end = self.ends.pop(identity, None)
        if end is not None:
            end()
        return machine is not None

    def _start(self, identity: str, running: str) -> None:
        with self.lock:
            machine = self.machines.get(identity)
        if machine is None:
            return
        end = self.boot(machine) if self.boot else None
        with self.lock:
            machine["status"] = running
            if identity not in self.machines:
                if end:
                    end()
            elif end:
                self.ends[identity] = end


class _Handler(BaseHTTPRequestHandler):
    cloud: FakeCloud
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        cloud, parts = self.cloud, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self.headers.get("Authorization") != f"Bearer {cloud.token}":
            status, value = cloud.refuse(401, "no such token")
        elif (lines := cloud.stream(unquote(parts.path), self.headers.get("Last-Event-ID"))) is not None:
            self._send_stream(lines)
            return
        else:
            decoded = json.loads(body) if body else None
            status, value = cloud.answer(self.command, unquote(parts.path), query, decoded)
            cloud.observe()
        time.sleep(cloud.random.uniform(*cloud.delay_s))
        reply = b"" if status == 204 else json.dumps(value).encode()
        with suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

    def _send_stream(self, lines: Iterator[str]) -> None:
        with suppress(ConnectionError):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            for line in lines:
                self.wfile.write(line.encode())
                self.wfile.flush()
        self.close_connection = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()


class FakeRunPod(FakeCloud):
    """Pods, endpoints and the catalog of GPUs."""

    GPUS = [("NVIDIA L4", "ADA_24", 24, 0.39, 0.29, 0.69), ("NVIDIA H100 PCIe", None, 80, 2.39, 1.99, None)]

    def __init__(self, token: str, contract: dict[str, Any], *, boot: Boot | None = None) -> None:
        super().__init__(token, boot=boot)
        self.contract = contract
        self._validators: dict[str, Draft202012Validator] = {}
        #: Stock of a kind of GPU, where a test says one.
        self.stock: dict[str, str] = {}
        #: USD that pods have cost.
        self.spent = 0.0

    def validate(self, schema: str, value: object) -> list[str]:
        """What of `value` the contract doesn't allow."""
        if schema not in self._validators:
            whole = {"$ref": f"#/components/schemas/{schema}", "components": self.contract["components"]}
            self._validators[schema] = Draft202012Validator(whole)
        return [error.message for error in self._validators[schema].iter_errors(value)]

    def _resolve(self, value: dict[str, Any]) -> dict[str, Any]:
        """A parameter, or the one that it refers to."""
        if "$ref" not in value:
            return value
        resolved: dict[str, Any] = self.contract["components"]["parameters"][value["$ref"].split("/")[-1]]
        return resolved

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        template = next(
            (
                known
                for known in self.contract["paths"]
                if re.fullmatch(re.sub(r"{\w+}", "[^/]+", known), path)
            ),
            None,
        )
        operation = self.contract["paths"].get(template, {}).get(method.lower())
        if operation is None:
            return self.refuse(404, f"{method} {path} is not in the contract")
        allowed = {
            p["name"] for p in map(self._resolve, operation.get("parameters", ())) if p["in"] == "query"
        }
        if unknown := query.keys() - allowed:
            return self.refuse(422, f"unknown parameters {sorted(unknown)}")
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
            if errors := self.validate(schema, body):
                return self.refuse(422, "; ".join(errors))
        status, value, schema = self._do(method, path.removeprefix("/v2/").split("/"), body)
        if schema and (errors := self.validate(schema, value)):
            raise AssertionError(f"this fake answers what RunPod can't: {errors}")
        return status, value

    def _do(self, method: str, path: list[str], body: Any) -> tuple[int, Any, str | None]:
        match method, path:
            case "GET", ["catalog", "gpus"]:
                return 200, {"gpus": [self._gpu(gpu) for gpu in self.GPUS]}, "ListGpuTypesResponse"
            case "GET", ["catalog", "gpus", gpu_id]:
                gpu = next((self._gpu(gpu) for gpu in self.GPUS if gpu[0] == gpu_id), None)
                return (200, gpu, "GpuType") if gpu else (*self.refuse(404, f"no GPU {gpu_id}"), None)
            case "GET", ["pods"]:
                return 200, {"pods": self._listed("image-pod")}, "ListPodsResponse"
            case "GET", ["pods", identity]:
                with self.lock:
                    pod = next((pod for pod in self._listed("image-pod") if pod["id"] == identity), None)
                return (200, pod, "Pod") if pod else (*self.refuse(404, f"no {identity}"), None)
            case "POST", ["pods"]:
                return 201, self._pod(body), "Pod"
            case "GET", ["billing", "pods"]:
                return 200, self._billing(), "ListPodBillingResponse"
            case "GET", ["network-volumes", identity]:
                volume = {"id": identity, "name": "weights", "size": 100, "type": "STANDARD"}
                return 200, volume | {"dataCenter": "EU-RO-1"}, "NetworkVolume"
            case "GET", ["serverless"]:
                return 200, {"endpoints": self._listed("endpoint")}, "ListEndpointsResponse"
            case "POST", ["serverless"]:
                return 201, self._endpoint(body), "Endpoint"
            case "DELETE", ["pods" | "serverless", identity]:
                gone = self.remove(identity)
                return (204, None, None) if gone else (*self.refuse(404, f"no {identity}"), None)
        return (*self.refuse(404, f"this fake has no {method} {path}"), None)

    def _gpu(self, gpu: tuple[str, str | None, int, float, float, float | None]) -> dict[str, Any]:
        identity, pool, memory, secure, community, serverless = gpu
        price = {"secure": secure, "community": community}
        stock = {"availability": self.stock[identity]} if identity in self.stock else {}
        return stock | {
            "id": identity,
            "name": identity.removeprefix("NVIDIA "),
            "pool": pool,
            "manufacturer": "NVIDIA",
            "memory": memory,
            "secure": True,
            "community": True,
            "price": price if serverless is None else price | {"serverless": serverless},
            "maxCount": {"secure": 8, "community": 4},
        }

    def _billing(self) -> dict[str, Any]:
        totals = {"totalAmount": self.spent, "gpuAmount": self.spent, "cpuAmount": 0, "diskAmount": 0}
        query = {"startTime": "2026-11-01T00:00:00Z", "endTime": "2026-12-01T00:00:00Z", "bucketSize": "day"}
        about = {"query": query, "recordCount": 0, "uniquePodCount": 0, "totals": totals}
        return {"records": [], "metadata": about}

    def _listed(self, kind: str) -> list[dict[str, Any]]:
        with self.lock:
            return [self._shown(machine) for machine in self.machines.values() if machine["_kind"] == kind]

    def _shown(self, machine: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in machine.items() if not name.startswith("_")}

    def _pod(self, body: dict[str, Any]) -> dict[str, Any]:
        identity = f"pod{next(self.numbers)}"
        price = next(
            gpu[3 if body.get("cloud") != "COMMUNITY" else 4]
            for gpu in self.GPUS
            if gpu[0] == body["gpu"]["id"]
        )
        pod = {
            "_kind": "image-pod",
            "id": identity,
            "status": "PROVISIONING",
            "actions": ["terminate"],
            "args": "",
            "mounts": {},
            "registry": None,
            "dataCenterId": "US-TX-3",
            "cudaVersion": "12.8",
            "ssh": {"proxy": None, "direct": None},
            "template": None,
            "cost": price * body["gpu"].get("count", 1),
            "locked": False,
            "globalNetworking": {"enabled": False},
            "runtime": None,
            "createdAt": "2026-11-27T20:00:00Z",
            "startedAt": None,
            "cloud": "SECURE",
            "ports": [],
            "env": {},
            "disk": 20,
            **body,
        }
        self.add(identity, pod, "RUNNING")
        return self._shown(pod)

    def _endpoint(self, body: dict[str, Any]) -> dict[str, Any]:
        identity = f"ep{next(self.numbers)}"
        gpu = {"allowedCudaVersions": [], "minCudaVersion": None, **body["gpu"]}
        endpoint = {
            "_kind": "endpoint",
            "id": identity,
            "dataCenterIds": [],
            "networkVolumes": [],
            "timeout": 300000,
            "flashboot": "OFF",
            "createdAt": "2026-11-27T20:00:00Z",
            **body,
            "gpu": gpu,
        }
        self.add(identity, endpoint, "")
        # An endpoint has no status of its own.
        endpoint["_status"] = endpoint.pop("status", "")
        return self._shown(endpoint)

    def _start(self, identity: str, running: str) -> None:
        super()._start(identity, running)
        with self.lock:
            if self.machines.get(identity, {}).get("_kind") == "endpoint":
                self.machines[identity].pop("status", None)


#: `POST /v2/droplets`, from droplet_create.yml and droplet_single_create.yml.
DROPLET = {
    "type": "object",
    "required": ["name", "region", "size", "image"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": r"^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$", "maxLength": 255},
        "region": {"type": "string"},
        "size": {"type": "string"},
        "image": {"type": ["string", "integer"]},
        "ssh_keys": {"type": "array", "items": {"type": ["string", "integer"]}},
        "backups": {"type": "boolean"},
        "ipv6": {"type": "boolean"},
        "monitoring": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string", "pattern": r"^[a-zA-Z0-9_\-:]{1,255}$"}},
        "user_data": {"type": "string", "maxLength": 64 * 1024},
        "vpc_uuid": {"type": "string"},
        "with_droplet_agent": {"type": "boolean"},
    },
}


class FakeDigitalOcean(FakeCloud):
    """Sizes and droplets."""

    SIZE = {
        "slug": "s-4vcpu-8gb",
        "memory": 8192,
        "vcpus": 4,
        "disk": 160,
        "transfer": 5.0,
        "price_monthly": 48.0,
        "price_hourly": 0.07143,
        "regions": ["fra1", "nyc3"],
        "available": True,
        "description": "Basic",
    }

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        page, per_page = int(query.get("page", 1)), int(query.get("per_page", 20))
        if not 1 <= per_page <= 200:
            return self.refuse(400, "per_page must be between 1 and 200")
        match method, path.removeprefix("/v2/").split("/"):
            case "GET", ["sizes"]:
                return 200, self._page("sizes", [self.SIZE], page, per_page)
            case "GET", ["droplets"]:
                tag = query.get("tag_name")
                with self.lock:
                    droplets = [d for d in self.machines.values() if tag is None or tag in d["tags"]]
                    return 200, self._page("droplets", [self._shown(d) for d in droplets], page, per_page)
            case "POST", ["droplets"]:
                if errors := [error.message for error in Draft202012Validator(DROPLET).iter_errors(body)]:
                    return self.refuse(422, "; ".join(errors))
                if body["size"] != self.SIZE["slug"] or body["region"] not in self.SIZE["regions"]:  # type: ignore[operator]
                    return self.refuse(422, "this size is not available in this region")
                return 202, {"droplet": self._droplet(body), "links": {}}
            case "DELETE", ["droplets", identity]:
                return (204, None) if self.remove(identity) else self.refuse(404, "not found")
        return self.refuse(404, f"this fake has no {method} {path}")

    def _page(self, name: str, items: list[Any], page: int, per_page: int) -> dict[str, Any]:
        start = (page - 1) * per_page
        has_next = start + per_page < len(items)
        pages = {"pages": {"next": f"{self.url}/v2/{name}?page={page + 1}"}} if has_next else {}
        return {name: items[start : start + per_page], "links": pages, "meta": {"total": len(items)}}

    def _droplet(self, body: dict[str, Any]) -> dict[str, Any]:
        number = next(self.numbers)
        droplet = {
            "id": number,
            "name": body["name"],
            "status": "new",
            "size": self.SIZE,
            "size_slug": body["size"],
            "region": {"slug": body["region"]},
            "image": {"slug": body["image"]},
            "tags": body.get("tags", []),
            "_user_data": body.get("user_data", ""),
        }
        self.add(str(number), droplet, "active")
        return self._shown(droplet)

    def _shown(self, droplet: dict[str, Any]) -> dict[str, Any]:
        shown = {name: value for name, value in droplet.items() if not name.startswith("_")}
        v4 = [{"ip_address": "127.0.0.1", "netmask": "255.0.0.0", "gateway": "127.0.0.1", "type": "public"}]
        return shown | {"networks": {"v4": v4 if droplet["status"] == "active" else [], "v6": []}}
