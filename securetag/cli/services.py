"""`securetag up` and `securetag doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.output import Json, emit, reported, show


@reported
def up(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port of the api; 0 picks one.")] = 8080,
    dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    no_dagster: Annotated[bool, typer.Option("--no-dagster", help="Leave the Dagster UI out.")] = False,
) -> None:
    """Start all services and the Dagster UI; Ctrl-C stops them.

    PostgreSQL, api, model runtime and worker.
    """
    import signal
    import time

    from securetag.cli.platform import (
        USER_SCOPES,
        WORKER_SCOPES,
        Platform,
        make_tenant,
        register_base_model,
        remembered_key,
    )
    from securetag.cli.supervise import Services, tail
    from securetag.settings import get_settings

    # A shell that starts us in the background has SIGINT ignored.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    settings = get_settings()
    with Services(
        settings.home, {"SECURETAG_HOME": str(settings.home), "SECURETAG_DATA": str(settings.data)}
    ) as services:
        platform = Platform(settings, services)
        typer.echo("PostgreSQL …")
        platform.postgres()
        platform.migrate()
        worker_key = remembered_key(
            settings, "worker-key", lambda: make_tenant(settings, "operator", WORKER_SCOPES).key
        )
        user_key = remembered_key(
            settings, "local-key", lambda: make_tenant(settings, "local", USER_SCOPES).key
        )
        typer.echo("api …")
        api = platform.api(port)
        typer.echo("model runtime …")
        register_base_model(settings)
        platform.runtime()
        platform.worker(worker_key)
        rows = [["api", api], ["api documentation", f"{api}/docs"]]
        if not no_dagster:
            typer.echo("Dagster UI …")
            rows.append(["Dagster UI", platform.dagster(dagster_port)])
        rows += [["API key of this home", user_key], ["logs", str(settings.home / "logs")]]
        show(["what", "where"], rows)
        here = "securetag --demo" if context.find_root().params["on_demo"] else "securetag"
        typer.echo(f"Scan a folder with `{here} scan PATH`. Ctrl-C stops everything.")
        try:
            while not (ended := services.ended()):
                time.sleep(1)
            for service in ended:
                typer.secho(f"{service.name} ended: {tail(service.log)}", fg="red", err=True)
            raise typer.Exit(1)
        except KeyboardInterrupt:
            typer.echo("stopping …")


@reported
def doctor(as_json: Json = False) -> None:
    """Check what this installation needs, and say what is missing.

    Each line that fails names the next step.
    """
    from securetag.cli.checks import run_checks
    from securetag.settings import get_settings

    checks = run_checks(get_settings())
    if as_json:
        emit([{"check": c.name, "ok": c.ok, "found": c.found, "next": c.hint} for c in checks])
    else:
        show(
            ["", "check", "found", "next"],
            [["✓" if c.ok else "✗", c.name, c.found, "" if c.ok else c.hint] for c in checks],
        )
    if not all(c.ok or c.optional for c in checks):
        raise typer.Exit(1)
