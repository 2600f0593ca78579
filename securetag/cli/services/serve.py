"""`securetag api`, `worker` and `dagster`: one service each in the foreground, as a container runs it.

`securetag up` starts all of them for one machine. These take the same settings, and end with SIGTERM or
Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from securetag.cli.output import reported

dagster = typer.Typer(no_args_is_help=True, help="Serve a part of Dagster.")

Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
CodeHost = Annotated[str, typer.Option(help="Where `securetag dagster code` listens.")]
CodePort = Annotated[int, typer.Option(min=1, max=65535, help="The port of `securetag dagster code`.")]

#: Dagster's own defaults: its code server, and its UI.
CODE_PORT, UI_PORT = 4266, 3000


@reported
def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on; `api.host` by default.")] = None,
    port: Port = None,
) -> None:
    """Serve the HTTP API. Address and limits are settings of `api`; the schema must be up to date."""
    from securetag.system.extras import require_packages

    require_packages(["uvicorn", "fastapi"])
    from securetag.api.__main__ import main

    options = ["--host", host] if host is not None else []
    raise typer.Exit(main([*options, *(["--port", str(port)] if port is not None else [])]))


@reported
def worker(
    once: Annotated[
        bool, typer.Option("--once", help="Do at most one task; exit code 3: there was none.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Tasks at a time.")] = 1,
) -> None:
    """Scan what is queued. The api's address and a key are settings of `worker`."""
    from securetag.system.extras import require_packages

    require_packages(["psutil"])
    from securetag.worker.__main__ import main

    raise typer.Exit(main(["--concurrency", str(concurrency), *(["--once"] if once else [])]))


@dagster.command("code")
@reported
def serve_code(
    host: Host = "127.0.0.1", port: Annotated[int, typer.Option(min=1, max=65535)] = CODE_PORT
) -> None:
    """Serve the assets, jobs and sensors to Dagster's UI and daemon."""
    from securetag.orchestration.instance import DEFINITIONS

    _become_dagster(
        "dagster",
        *("code-server", "start", "-m", DEFINITIONS, "--host", host, "--port", str(port)),
        "--use-python-environment-entry-point",
    )


@dagster.command("web")
@reported
def serve_ui(
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = UI_PORT,
    code_host: CodeHost = "127.0.0.1",
    code_port: CodePort = CODE_PORT,
) -> None:
    """Serve Dagster's UI. Start `securetag dagster code` first."""
    _become_dagster("dagster_webserver", *_workspace(code_host, code_port), "-h", host, "-p", str(port))


@dagster.command("daemon")
@reported
def run_daemon(code_host: CodeHost = "127.0.0.1", code_port: CodePort = CODE_PORT) -> None:
    """Run Dagster's schedules, sensors and queued runs. Start `securetag dagster code` first."""
    _become_dagster("dagster._daemon", "run", *_workspace(code_host, code_port))


def _workspace(host: str, port: int) -> list[str]:
    from securetag.orchestration.instance import workspace
    from securetag.settings import get_settings

    return ["--workspace", str(workspace(get_settings(), {"host": host, "port": port}))]


def _become_dagster(module: str, *arguments: str) -> NoReturn:
    """Replace this process by one of Dagster's, which so gets the signals itself."""
    from securetag.orchestration.instance import prepare
    from securetag.settings import get_settings
    from securetag.system.extras import require_packages
    from securetag.system.launch import restore_signals

    require_packages(["dagster", "dagster_webserver"])
    restore_signals()
    environment = os.environ | {"DAGSTER_HOME": str(prepare(get_settings()))}
    os.execve(sys.executable, [sys.executable, "-m", module, *arguments], environment)
