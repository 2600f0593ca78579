"""`securetag cloud`: a deployment on rented machines, from nothing to a verified triage and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.output import Json, emit, reported, show

if TYPE_CHECKING:
    from securetag.cli.cloud.plan import Clouds, Item
    from securetag.settings import Settings

app = typer.Typer(help="A deployment on rented machines.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the deployment; its machines carry it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without this, only say what would be done.")]
Patience = Annotated[float, typer.Option(min=1, help="Seconds that each machine or model may take to start.")]


@contextmanager
def _connected(name: str) -> Iterator[tuple[Clouds, Settings]]:
    """Yield the clouds and the settings while no other command changes the deployment."""
    from securetag.cli.cloud import plan, state
    from securetag.settings import get_settings

    plan.resource_name(name)
    settings = get_settings()
    clouds = plan.connect(settings)
    try:
        with state.lock(name, settings):
            yield clouds, settings
    finally:
        clouds.close()


@app.command("deploy")
@reported
def deploy(name: Name, yes: Yes = False, patience: Patience = 900) -> None:
    """Rent a droplet and a GPU, wire them and verify a triage; finish what an earlier run began.

    Without --yes it prints what it would rent and what that costs. It refuses what is over the price ceiling
    or the monthly budget. A deployment that fails its verification serves its last verified model again, or
    is torn down if there was none.
    """
    from securetag.cli.cloud import plan, steps

    with _connected(name) as (clouds, settings):
        items = plan.price(clouds, settings.cloud)
        _show_prices(items)
        plan.check_budget(items, settings.cloud)
        if not yes:
            _say_what_would_be_done(name, settings)
            return
        deployment, checks = steps.deploy(name, clouds, settings, patience_s=patience, report=_report)
        for check in checks:
            typer.echo(f"{'✓' if check.ok else '✗'} {check.name}: {check.detail}")
        if error := steps.describe_failure(checks):
            raise error
        typer.echo(f"{name} is at {deployment.api_url}; its model is at {deployment.model_url}")


@app.command("rollback")
@reported
def rollback(name: Name) -> None:
    """Serve the model that was verified before the present one."""
    from securetag.cli.cloud import steps

    with _connected(name) as (_, settings):
        typer.echo(f"{name} serves {steps.rollback(name, settings)[:12]} again")


@app.command("destroy")
@reported
def destroy(name: Name, yes: Yes = False) -> None:
    """Delete every rented machine that carries the name, its database too, and forget its secrets."""
    from securetag.cli.cloud import steps
    from securetag.cli.cloud.plan import resource_name
    from securetag.cli.cloud.resources import list_rented as list_machines

    with _connected(name) as (clouds, settings):
        if not yes:
            for machine in list_machines(clouds):
                if machine.name == resource_name(name):
                    typer.echo(f"would delete {machine.kind} {machine.id} ({machine.name})")
            typer.echo("Nothing was done; add --yes to do it.")
            return
        typer.echo(f"deleted {steps.destroy(name, clouds, settings, _report)} machines of {name}")


@app.command("list")
@reported
def list_rented(as_json: Json = False) -> None:
    """List every machine that was rented by `securetag cloud`, also by a run that was killed."""
    from dataclasses import asdict

    from securetag.cli.cloud import plan
    from securetag.cli.cloud.resources import list_rented as list_machines
    from securetag.settings import get_settings

    clouds = plan.connect(get_settings())
    try:
        rows = [asdict(machine) for machine in list_machines(clouds)]
    finally:
        clouds.close()
    if as_json:
        emit(rows)
    else:
        columns = ["kind", "id", "name", "status", "usd_per_hour"]
        show(columns, [[row[column] for column in columns] for row in rows])


@app.command("reap")
@reported
def reap(as_json: Json = False) -> None:
    """Delete training pods whose deadline has passed, whoever started them."""
    import time

    from securetag.settings import get_settings
    from securetag.training.launchers.runpod.reaper import connect
    from securetag.training.launchers.runpod.reaper import reap as delete_overdue

    with connect(get_settings()) as api:
        pods = delete_overdue(api, time.time())
    if as_json:
        emit([{"id": pod.id, "name": pod.name} for pod in pods])
    else:
        typer.echo(f"deleted {len(pods)} training pods{''.join(f' {pod.id}' for pod in pods)}")


def _show_prices(prices: list[Item]) -> None:
    rows = [[item.what, f"{item.per_hour:.3f}", f"{item.per_month:.2f}", item.note] for item in prices]
    hourly, monthly = sum(item.per_hour for item in prices), sum(item.per_month for item in prices)
    show(["what", "USD/hour", "USD/month", ""], [*rows, ["together", f"{hourly:.3f}", f"{monthly:.2f}", ""]])


def _say_what_would_be_done(name: str, settings: Settings) -> None:
    from securetag.cli.cloud import plan

    cloud = settings.cloud
    where = "pod" if cloud.model == "pod" else "serverless endpoint"
    for step in (
        f"create the {where} {plan.resource_name(name)} at RunPod, unless it exists",
        "publish this home's model to it" if cloud.model == "pod" else f"let vLLM serve {cloud.hub_model}",
        f"create the droplet {plan.resource_name(name)}, whose worker gets the model's address and key",
        "verify the model, the api, its database, and the triage of one scan",
        "tear everything down if that fails",
    ):
        typer.echo(f"would {step}")
    typer.echo("Nothing was done; add --yes to do it.")


def _report(line: str) -> None:
    typer.echo(line, err=True)
