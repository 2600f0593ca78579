"""The rented resources of a deployment: looked up by name before any is created, and torn down."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from securetag.cli.cloud.plan import PREFIX, Clouds, resource_name
from securetag.cli.cloud.state import State
from securetag.cli.deployment.checks import Report
from securetag.cloud import DEAD_STATES, Droplet, Pod, ServerlessEndpoint
from securetag.errors import ConflictError, UnavailableError
from securetag.records import JsonObject
from securetag.settings.sections import CloudSettings

Resource = TypeVar("Resource", Droplet, Pod, ServerlessEndpoint)

#: Seconds between two looks at a machine that starts or ends.
POLL_S = 2.0
#: Seconds after which a machine that was created must be in the list of all.
LISTED_S = 30.0
POD_PORT = 11434


@dataclass(frozen=True)
class Rented:
    """One rented machine, as a person lists it."""

    kind: str
    id: str | int
    name: str
    status: str
    #: None where it depends on the use.
    usd_per_hour: float | None


def list_rented(clouds: Clouds) -> list[Rented]:
    """Return every machine that carries our prefix, whatever this home remembers."""
    rented = [
        *(Rented("pod", pod.id, pod.name, pod.status, pod.cost) for pod in clouds.runpod.pods()),
        *(Rented("endpoint", end.id, end.name, "", None) for end in clouds.runpod.endpoints()),
        *(
            Rented("droplet", droplet.id, droplet.name, droplet.status, droplet.size.price_hourly)
            for droplet in clouds.digitalocean.droplets(PREFIX)
        ),
    ]
    return [machine for machine in rented if machine.name.startswith(f"{PREFIX}-")]


def tag_of(name: str) -> str:
    """Return the tag of a deployment's droplet."""
    return f"{PREFIX}:{name}"


def find_pods(clouds: Clouds, name: str) -> list[Pod]:
    """Return the pods of a deployment."""
    return [pod for pod in clouds.runpod.pods() if pod.name == resource_name(name)]


def find_endpoints(clouds: Clouds, name: str) -> list[ServerlessEndpoint]:
    """Return the serverless endpoints of a deployment."""
    return [endpoint for endpoint in clouds.runpod.endpoints() if endpoint.name == resource_name(name)]


def find_droplets(clouds: Clouds, name: str) -> list[Droplet]:
    """Return the droplets of a deployment."""
    return [
        droplet for droplet in clouds.digitalocean.droplets(PREFIX) if droplet.name == resource_name(name)
    ]


def ensure_pod(clouds: Clouds, state: State, cloud: CloudSettings, patience_s: float, report: Report) -> Pod:
    """Return the deployment's running pod, made where it is missing. Raises UnavailableError if it dies."""
    body: JsonObject = {
        "name": resource_name(state.name),
        "image": cloud.pod_image,
        "disk": cloud.pod_disk,
        "ports": [f"{POD_PORT}/http"],
        "env": {"MODEL_API_KEY": state.model_key, "OLLAMA_KEEP_ALIVE": "-1"},
        "gpu": {"id": cloud.gpu, "count": 1},
        "cloud": cloud.gpu_cloud,
    }
    pod = _only(
        find_pods(clouds, state.name),
        lambda: clouds.runpod.create_pod(body),
        lambda extra: clouds.runpod.delete_pod(extra.id),
        report,
    )
    return _wait(
        lambda: next(iter(find_pods(clouds, state.name)), None),
        lambda seen: seen.status == "RUNNING",
        lambda seen: seen.status in DEAD_STATES,
        f"pod {pod.id}",
        patience_s,
        report,
    )


def ensure_endpoint(clouds: Clouds, state: State, cloud: CloudSettings, report: Report) -> ServerlessEndpoint:
    """Return the deployment's serverless endpoint with vLLM, made where it is missing."""
    body: JsonObject = {
        "name": resource_name(state.name),
        "type": "QUEUE",
        "image": "runpod/worker-v1-vllm:stable-cuda12.1.0",
        "env": {
            "MODEL_NAME": cloud.hub_model,
            "MODEL_REVISION": cloud.hub_revision,
            "OPENAI_SERVED_MODEL_NAME_OVERRIDE": state.alias,
            "MAX_MODEL_LEN": "4608",
        },
        "gpu": {"pools": [cloud.gpu_pool], "count": 1},
        "workers": {"min": cloud.min_workers, "max": cloud.max_workers, "idleTimeout": 60},
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
    }
    return _only(
        find_endpoints(clouds, state.name),
        lambda: clouds.runpod.create_endpoint(body),
        lambda extra: clouds.runpod.delete_endpoint(extra.id),
        report,
    )


def ensure_droplet(
    clouds: Clouds, state: State, cloud: CloudSettings, user_data: str, patience_s: float, report: Report
) -> Droplet:
    """Return the deployment's droplet with its address, made where it is missing."""
    droplets = find_droplets(clouds, state.name)
    if droplets and state.droplet_model_url != state.model_url:
        if state.verified:
            raise ConflictError(
                f"the droplet's worker uses {state.droplet_model_url}, and the model is at {state.model_url}",
                hint=f"Change compose.cloud.yaml on the droplet, or destroy {state.name} with its data.",
            )
        # It never served, so it holds nothing.
        for droplet in droplets:
            clouds.digitalocean.delete_droplet(droplet.id)
        droplets = []
    body: JsonObject = {
        "name": resource_name(state.name),
        "region": cloud.droplet_region,
        "size": cloud.droplet_size,
        "image": cloud.droplet_image,
        "ssh_keys": cloud.ssh_keys,
        "monitoring": True,
        "tags": [PREFIX, tag_of(state.name)],
        "user_data": user_data,
    }
    droplet = _only(
        droplets,
        lambda: clouds.digitalocean.create_droplet(body),
        lambda extra: clouds.digitalocean.delete_droplet(extra.id),
        report,
    )
    return _wait(
        lambda: next(iter(find_droplets(clouds, state.name)), None),
        lambda seen: seen.status == "active" and seen.address is not None,
        lambda seen: seen.status in {"off", "archive"},
        f"droplet {droplet.id}",
        patience_s,
        report,
    )


def destroy(clouds: Clouds, name: str, report: Report, patience_s: float = 120) -> int:
    """Delete whatever carries the deployment's name, until nothing does; return how many there were."""
    deadline = time.monotonic() + patience_s
    deleted: set[str] = set()
    while True:
        deletions: dict[str, Callable[[], None]] = {
            **{f"pod {pod.id}": partial(clouds.runpod.delete_pod, pod.id) for pod in find_pods(clouds, name)},
            **{
                f"endpoint {endpoint.id}": partial(clouds.runpod.delete_endpoint, endpoint.id)
                for endpoint in find_endpoints(clouds, name)
            },
            **{
                f"droplet {droplet.id}": partial(clouds.digitalocean.delete_droplet, droplet.id)
                for droplet in find_droplets(clouds, name)
            },
        }
        if not deletions:
            return len(deleted)
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"{', '.join(deletions)} of {name} is still there",
                hint="Run the command again, and look at the providers' consoles.",
            )
        # Once each: a droplet that is being destroyed refuses a second request.
        for what in deletions.keys() - deleted:
            report(f"deleting {what}")
            deletions[what]()
            deleted.add(what)
        time.sleep(0.2)


def _only(
    existing: list[Resource],
    create: Callable[[], Resource],
    delete: Callable[[Resource], None],
    report: Report,
) -> Resource:
    """Return the one that exists, or a new one; two runs that met made two, of which one goes."""
    for extra in existing[1:]:
        delete(extra)
    if existing:
        report(f"{existing[0].name} exists")
        return existing[0]
    resource = create()
    report(f"created {type(resource).__name__.lower()} {resource.id}")
    return resource


def _wait(
    look: Callable[[], Resource | None],
    is_ready: Callable[[Resource], bool],
    is_dead: Callable[[Resource], bool],
    what: str,
    patience_s: float,
    report: Report,
) -> Resource:
    """Look again until the machine is ready. Raises UnavailableError when it is dead, gone or too slow."""
    began, pause = time.monotonic(), 0.1
    while True:
        resource = look()
        if resource is not None and is_ready(resource):
            return resource
        waited = time.monotonic() - began
        is_lost = is_dead(resource) if resource is not None else waited > LISTED_S
        if is_lost or waited > patience_s:
            state = "gone" if resource is None else getattr(resource, "status", "not ready")
            raise UnavailableError(
                f"{what} is {state}",
                hint="Look at its log in the provider's console; `securetag cloud destroy` removes it.",
            )
        report(f"waiting for {what}")
        time.sleep(pause)
        pause = min(2 * pause, POLL_S)
