"""The command line. Modules here import nothing heavy at the top, so that `--help` stays fast."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli import (
    backup,
    cloud,
    consent,
    dataset,
    db,
    demo,
    findings,
    key,
    key_changes,
    mirror,
    model,
    scan,
    services,
    source,
    tenant,
    trace,
    triage,
    web,
    webhooks,
)
from securetag.cli.delete import delete, delete_tenant
from securetag.cli.deployment.register import register_key
from securetag.cli.output import reported

app = typer.Typer(
    name="securetag",
    help="The life of a fine-tuning dataset for application security.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
    rich_markup_mode=None,  # boxes and colors would cost as many CPU-seconds as all the rest
)
app.command("up")(services.up)
app.command("doctor")(services.doctor)
app.command("api")(services.api)
app.command("worker")(services.worker)
app.add_typer(services.dagster, name="dagster")
app.command("demo")(demo.demo)
app.command("scan")(scan.scan)
app.command("triage")(triage.triage)
app.add_typer(findings.app, name="findings")
app.command("feedback")(findings.feedback)
app.add_typer(findings.suppressions, name="suppressions")
app.add_typer(web.app, name="web")
app.add_typer(source.app, name="source")
app.add_typer(mirror.app, name="mirror")
app.add_typer(dataset.app, name="dataset")
app.command("trace")(trace.trace)
app.command("train")(model.train)
app.command("evaluate")(model.evaluate)
app.command("publish")(model.publish)
app.add_typer(model.app, name="model")
app.add_typer(tenant.app, name="tenant")
app.add_typer(key.app, name="key")
key.app.command("register")(register_key)
key.app.command("list")(key_changes.list_keys)
key.app.command("revoke")(key_changes.revoke_key)
key.app.command("rotate")(key_changes.rotate_key)
key.app.command("suspend")(key_changes.suspend_key)
key.app.command("resume")(key_changes.resume_key)
tenant.app.command("list")(key_changes.list_tenants)
tenant.app.command("suspend")(key_changes.suspend_tenant)
tenant.app.command("resume")(key_changes.resume_tenant)
tenant.app.command("delete")(delete_tenant)
app.command("delete")(delete)
app.add_typer(consent.app, name="consent")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(db.app, name="db")
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.add_typer(cloud.app, name="cloud")


def _version(value: bool) -> None:
    if value:
        from securetag import __version__

        typer.echo(__version__)
        raise typer.Exit


@reported
def _enter_demo(value: bool) -> bool:
    if value:
        from securetag.cli.demo.home import enter_last

        enter_last()
    return value


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    on_demo: Annotated[
        bool, typer.Option("--demo", callback=_enter_demo, help="Work on what the last demo has made.")
    ] = False,
) -> None:
    """Extract, scan, triage, harvest, release, train, evaluate, gate, publish."""
