"""A Prometheus listener of one process, apart from what it serves otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from securetag.errors import SettingsError


@contextmanager
def serve_metrics(counts: CollectorRegistry, host: str, port: int, *, section: str) -> Iterator[None]:
    """Serve the counts and those of the process (memory, CPU time, open files); port 0 serves none.

    It answers from a thread, also where the process is busy. Raises SettingsError, which names the settings
    of `section`, where the port is taken.
    """
    if not port:
        yield
        return
    registry = CollectorRegistry(support_collectors_without_names=True)
    registry.register(counts)
    ProcessCollector(registry=registry)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"metrics can't be served at {host}:{port}: {error}",
            hint=f"Choose another address in {section}.metrics_host and {section}.metrics_port; "
            "port 0 serves none.",
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
