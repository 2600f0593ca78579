"""`securetag doctor`: of this installation, or of a running deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.output import Json, emit, reported, show

if TYPE_CHECKING:
    from securetag.settings import Settings


@reported
def doctor(
    deployment: Annotated[
        bool, typer.Option("--deployment", help="Check a running deployment: api, database, model.")
    ] = False,
    api: Annotated[str | None, typer.Option(envvar="SECURETAG_API_URL", help="Address of the api.")] = None,
    model_id: Annotated[str | None, typer.Option(help="The id that the served model must have.")] = None,
    patience: Annotated[float, typer.Option(min=0, help="Seconds that the model may take to load.")] = 120,
    as_json: Json = False,
) -> None:
    """Check what this installation needs, and say what is missing.

    With --deployment, ask the api, its database and the model's endpoint, as the worker does.
    Each line that fails names the next step.
    """
    from securetag.settings import get_settings

    settings = get_settings()
    if deployment:
        _check_deployment(settings, api, model_id, patience, as_json=as_json)
        return
    from securetag.cli.services.checks import run_checks

    checks = run_checks(settings)
    if as_json:
        emit([{"check": c.name, "ok": c.ok, "found": c.detail, "next": c.hint} for c in checks])
    else:
        show(
            ["", "check", "found", "next"],
            [["✓" if c.ok else "✗", c.name, c.detail, "" if c.ok else c.hint] for c in checks],
        )
    if not all(c.ok or c.optional for c in checks):
        raise typer.Exit(1)


def _check_deployment(
    settings: Settings, api: str | None, model_id: str | None, patience_s: float, *, as_json: bool
) -> None:
    from securetag.cli.deployment.checks import check_api
    from securetag.cli.deployment.model import check_model
    from securetag.system.services import read_services

    url = api or read_services(settings.run_dir).get("api", {}).get("url") or settings.worker.api_url
    checks = [
        *check_api(str(url)),
        *check_model(
            settings,
            model_id=model_id,
            patience_s=patience_s,
            report=lambda line: typer.echo(line, err=True),
        ),
    ]
    if as_json:
        emit(
            [
                {"check": c.name, "ok": c.ok, "found": c.detail, "cause": c.cause, "next": c.hint}
                for c in checks
            ]
        )
    else:
        for check in checks:
            typer.echo(f"{'✓' if check.ok else '✗'} {check.name}: {check.detail}")
            if not check.ok:
                typer.echo(f"  next: {check.hint}")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
