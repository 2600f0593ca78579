"""A build's mapper on a Ray cluster, where one machine's cores aren't enough.

with connect(settings.ray_address) as mapper:
    mapper(judge, parts)

What is mapped goes to the cluster once, and its workers need the same version of Securetag. A task whose
worker dies is run again on another one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from securetag.datasets.parallel import Item, Mapper, Result, map_here
from securetag.errors import UnavailableError
from securetag.system.extras import require_packages

#: Seconds in which a cluster must accept a connection.
CONNECT_S = 10.0


@contextmanager
def connect(address: str | None) -> Iterator[Mapper]:
    """Yield the mapper of the cluster at `address`; None: of this process; `local`: of a cluster made here.

    Raises UnavailableError where the cluster doesn't answer, ModuleNotFoundError without the extra `ray`.
    """
    if address is None:
        yield map_here
        return
    require_packages(["ray"])
    # Ray reports its use to its makers unless this is set before its import.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    try:
        _knock(address)
        ray.init(
            address=address, include_dashboard=False if address == "local" else None, log_to_driver=False
        )
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        raise UnavailableError(
            f"no Ray cluster answers at {address}: {error}",
            hint="Start one (`ray start --head`), or unset SECURETAG_RAY_ADDRESS to build in one process.",
        ) from error
    try:
        yield _map_on_ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError where nothing listens at a `host:port`, which Ray itself tries for minutes."""
    host, separator, port = address.rpartition(":")
    if separator and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()


def _map_on_ray(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Call the function once for each item, each call a task that a worker takes when it is free."""
    import ray

    call = ray.remote(_call)
    shared = ray.put(function)
    results: list[Result] = ray.get([call.remote(shared, item) for item in items])
    return results


def _call(function: Callable[[object], object], item: object) -> object:
    return function(item)
