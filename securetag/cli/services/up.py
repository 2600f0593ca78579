"""`securetag up`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.output import reported, show

if TYPE_CHECKING:
    from securetag.settings import Settings


@reported
def up(
    context: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port of the api; 0 picks one. By default 8080, or a free one near it."
        ),
    ] = None,
    dagster_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port of the Dagster UI; 0 picks one. By default 3000, or a free one near it.",
        ),
    ] = None,
    no_dagster: Annotated[bool, typer.Option("--no-dagster", help="Leave the Dagster UI out.")] = False,
) -> None:
    """Start all services and the Dagster UI; Ctrl-C stops them.

    PostgreSQL, api, model runtime and worker. What ends is started again, until it keeps ending.
    """
    import signal
    import time

    from securetag.cli.services.platform import (
        USER_SCOPES,
        WORKER_SCOPES,
        Platform,
        make_tenant,
        register_base_model,
        remembered_key,
        required_packages,
    )
    from securetag.cli.services.supervise import Services
    from securetag.settings import get_settings
    from securetag.system.extras import require_packages

    # A shell that starts us in the background has SIGINT ignored.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    settings = get_settings()
    require_packages(required_packages(settings, with_dagster=not no_dagster))
    with Services(
        settings.home, {"SECURETAG_HOME": str(settings.home), "SECURETAG_DATA": str(settings.data)}
    ) as services:
        platform = Platform(settings, services)
        api_port, ui_port = _choose_ports(settings, port, dagster_port, with_dagster=not no_dagster)
        typer.echo("PostgreSQL …")
        platform.postgres()
        code = None if no_dagster else platform.dagster_code()
        platform.migrate()
        worker_key = remembered_key(
            settings, "worker-key", lambda: make_tenant(settings, "operator", WORKER_SCOPES).key
        )
        user_key = remembered_key(
            settings, "local-key", lambda: make_tenant(settings, "local", USER_SCOPES).key
        )
        typer.echo("api …")
        api = platform.api(api_port)
        typer.echo("model runtime …")
        register_base_model(settings)
        platform.runtime()
        platform.worker(worker_key)
        rows = [["api", api], ["api documentation", f"{api}/docs"]]
        if code is not None:
            typer.echo("Dagster UI …")
            rows.append(["Dagster UI", platform.dagster(code, ui_port)])
        rows += [["API key of this home", user_key], ["logs", str(settings.home / "logs")]]
        show(["what", "where"], rows)
        here = "securetag --demo" if context.find_root().params["on_demo"] else "securetag"
        typer.echo(f"Scan a folder with `{here} scan PATH`. Ctrl-C stops everything.")
        try:
            while True:
                for event in services.restart_ended():
                    typer.secho(event, fg="yellow", err=True)
                time.sleep(0.5)
        except KeyboardInterrupt:
            typer.echo("stopping …")


def _choose_ports(
    settings: Settings, port: int | None, dagster_port: int | None, *, with_dagster: bool
) -> tuple[int, int]:
    """Return the ports of api and Dagster UI; say which default gave way. Raises ConflictError."""
    from securetag.cli.services.platform import DAGSTER_HOST, DAGSTER_PORT
    from securetag.cli.services.ports import choose_port

    wanted = settings.api.port if port is None else port
    is_named = port is not None or "port" in settings.api.model_fields_set
    api_port = choose_port(settings.api.host, wanted, named=is_named, option="--port")
    if api_port != wanted:
        typer.echo(f"Port {wanted} is taken: the api takes {api_port}.")
    if not with_dagster:
        return api_port, 0
    wanted = DAGSTER_PORT if dagster_port is None else dagster_port
    ui_port = choose_port(
        DAGSTER_HOST,
        wanted,
        named=dagster_port is not None,
        option="--dagster-port",
        reserved=frozenset({api_port}),
    )
    if ui_port != wanted:
        typer.echo(f"Port {wanted} is taken: the Dagster UI takes {ui_port}.")
    return api_port, ui_port
