"""`securetag source extract`."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.output import Json, emit, reported, show
from securetag.cli.source.choice import All, Names, choose_sources
from securetag.cli.source.progress import show_progress


@reported
def extract(
    names: Names = None,
    every: All = False,
    force: Annotated[bool, typer.Option("--force", help="Read again what hasn't changed.")] = False,
    as_json: Json = False,
) -> None:
    """Read sources into Records below `<data>/records`.

    What hasn't changed is left as it is.
    """
    from securetag.errors import SecuretagError
    from securetag.pipeline.extract import extract as extract_source
    from securetag.settings import get_settings

    settings = get_settings()
    summary, broken = {}, dict[str, str]()
    for name in choose_sources(settings, names, every):
        try:
            with show_progress(name, quiet=as_json) as progress:
                report, unchanged = extract_source(name, settings, progress, force=force)
        except SecuretagError as error:
            if not every:
                raise
            broken[name] = str(error)  # one source never costs the others
            continue
        summary[name] = {
            "files": report.files,
            "records": report.records,
            "by_status": report.by_status,
            "dropped": report.dropped,
            "failures": len(report.failures),
            "unchanged": unchanged,
            "cpu_s": round(report.cpu_s, 2),
        }
    if as_json:
        emit(summary)
    else:
        show(
            ["source", "files", "records", "by status", "dropped", "failures", "", "CPU-s"],
            [
                [
                    name,
                    *(_flat(row[key]) for key in ("files", "records", "by_status", "dropped", "failures")),
                    "unchanged" if row["unchanged"] else "",
                    row["cpu_s"],
                ]
                for name, row in summary.items()
            ],
        )
        if any(row["failures"] for row in summary.values()):
            typer.echo(f"What failed, and why: {settings.records_dir}/<source>.report.json")
    for name, reason in broken.items():
        typer.secho(f"error: {name}: {reason}", fg="red", err=True)
    if broken:
        raise typer.Exit(1)


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return str(value)
