"""`python -m securetag.api [--host 127.0.0.1] [--port 0]`: serve, and say where.

The address is written to `<home>/run/api.json` as `{"url", "pid"}` once the socket is open, and
removed at the end.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import socket
import sys
from contextlib import closing
from pathlib import Path

from securetag.errors import SecuretagError, SettingsError
from securetag.settings import Settings, get_settings
from securetag.system.extras import describe_failure, exit_if_missing
from securetag.system.files import PRIVATE, make_private_folder, write_json

with exit_if_missing():
    import uvicorn

    from securetag.api.app import create_app
    from securetag.api.connection import make_protocol
    from securetag.api.exposure import refuse_unsafe
    from securetag.db.engine import dsn_for, parse_url
    from securetag.system.logs import configure_logs
    from securetag.system.metrics import serve_metrics

#: Connections that wait to be accepted.
BACKLOG = 512


def listening(host: str, port: int) -> socket.socket:
    """An open socket. Raises SettingsError where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
    except (OSError, OverflowError) as error:
        opened.close()
        raise SettingsError(
            f"{host}:{port} can't be listened on: {error}",
            hint="Choose another port; 0 picks a free one.",
        ) from error
    opened.listen(BACKLOG)
    return opened


def serve(settings: Settings, host: str, port: int) -> None:
    """Until SIGTERM or SIGINT. Raises SettingsError."""
    # Uvicorn would bury these in a traceback of its own.
    parse_url(dsn_for(settings))
    refuse_unsafe(settings, host)
    app = create_app(settings)
    opened = listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{opened.getsockname()[1]}"
    config = uvicorn.Config(
        app,
        # httptools has no limit on line and headers, and uvicorn joins the pieces of a URL quadratically.
        http=make_protocol(settings.api),
        h11_max_incomplete_event_size=settings.api.max_head,
        ws="none",
        # Its loggers pass their lines on to ours.
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        # Long polls and slow uploads get so long to end when we are told to stop.
        timeout_graceful_shutdown=5,
    )
    address = settings.run_dir / "api.json"

    class Announcing(uvicorn.Server):
        """Says where it listens as soon as requests are answered."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                make_private_folder(address.parent)
                write_json(address, {"url": url, "pid": os.getpid()}, mode=PRIVATE)
                logging.getLogger("securetag.api").info("serving at %s", url)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Here, since uvicorn ends the process by the signal that it was sent.
            _unpublish(address)
            app.state.services.streams.closing.set()
            await super().shutdown(sockets)

    counts, api = app.state.metrics.registry, settings.api
    with closing(opened), serve_metrics(counts, api.metrics_host, api.metrics_port, section="api"):
        Announcing(config).run(sockets=[opened])


def _unpublish(address: Path) -> None:
    """Remove the address, unless another process has taken over since."""
    try:
        ours = json.loads(address.read_text()).get("pid") == os.getpid()
    except (OSError, ValueError):
        return
    if ours:
        address.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1, with the error and its hint on stderr, where the settings don't do."""
    parser = argparse.ArgumentParser(prog="python -m securetag.api", description="Serve the HTTP api.")
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (8080); 0 picks a free one")
    given = parser.parse_args(arguments)
    # Whatever is written from here on may hold customers' code.
    os.umask(0o077)
    configure_logs()
    try:
        settings = get_settings()
        host = given.host if given.host is not None else settings.api.host
        port = given.port if given.port is not None else settings.api.port
        serve(settings, host, port)
    except SecuretagError as error:
        print(*describe_failure(str(error), error.hint), sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
