"""Choose the ports of services before any of them starts."""

from __future__ import annotations

import errno
import socket

from securetag.errors import ConflictError

#: Ports after a default one that are tried, so that the address stays easy to guess.
MAX_NEIGHBORS = 20


def choose_port(
    host: str, wanted: int, *, named: bool, option: str, reserved: frozenset[int] = frozenset()
) -> int:
    """Return `wanted` if it is free on `host`; otherwise another free port, or an error.

    A default port gives way: its next free neighbor is returned. A port that the user named doesn't:
    somebody will look for the service there. 0, which means any free port, is returned as it is. Ports
    in `reserved` count as taken. Raises ConflictError, which names `option`.
    """
    if not wanted or (wanted not in reserved and is_free(host, wanted)):
        return wanted
    if named:
        raise ConflictError(
            f"port {wanted} is taken on {host}",
            hint=f"Stop the program that listens there, or choose another port with {option}; 0 picks one.",
        )
    for port in range(wanted + 1, wanted + 1 + MAX_NEIGHBORS):
        if port not in reserved and is_free(host, port):
            return port
    return find_free_port(host)


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on `port` of `host` now."""
    try:
        _bind(host, port)
    except OSError as error:
        return error.errno not in (errno.EADDRINUSE, errno.EACCES)  # a bad host is the server's to refuse
    except OverflowError:
        return False
    return True


def find_free_port(host: str) -> int:
    """Return a port that the system considers free on `host`."""
    return _bind(host, 0)


def _bind(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])
