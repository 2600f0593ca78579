"""`securetag source extract`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.output import Json, emit, reported, show
from securetag.cli.source.choice import All, Names, choose_sources
from securetag.cli.source.progress import show_progress

if TYPE_CHECKING:
    from securetag.extractors.record_files import Report

#: Failures of a source that `--json` prints; all of them are in its report.
MAX_REASONS = 100


@reported
def extract(
    names: Names = None,
    every: All = False,
    force: Annotated[bool, typer.Option("--force", help="Read again what hasn't changed.")] = False,
    as_json: Json = False,
) -> None:
    """Read sources into Records below `<data>/records`.

    What hasn't changed is left as it is. A source that can't be read doesn't stop the others; the exit code
    is 1 when one can't be read or gives no Record.
    """
    from securetag.errors import SecuretagError
    from securetag.pipeline.extract import extract as extract_source
    from securetag.settings import get_settings

    settings = get_settings()
    summary: dict[str, dict[str, object]] = {}
    broken: dict[str, str] = {}
    for name in choose_sources(settings, names, every):
        try:
            with show_progress(name, quiet=as_json) as progress:
                report, unchanged = extract_source(name, settings, progress, force=force)
        except SecuretagError as error:  # one source never costs the others
            broken[name] = f"{error}\n  next: {error.hint}" if error.hint else str(error)
            summary[name] = {"error": str(error), "hint": error.hint}
            continue
        summary[name] = _summarize(report, unchanged=unchanged)
        if not report.records:
            broken[name] = _explain_emptiness(report)
    if as_json:
        emit(summary)
    else:
        _show_summary(summary, f"{settings.records_dir}/<source>.report.json")
    for name, reason in broken.items():
        typer.secho(f"error: {name}: {reason}", fg="red", err=True)
    if broken:
        raise typer.Exit(1)


def _summarize(report: Report, *, unchanged: bool) -> dict[str, object]:
    return {
        "files": report.files,
        "records": report.records,
        "by_status": report.by_status,
        "dropped": report.dropped,
        "scrubbed": report.scrubbed,
        "unmapped_columns": report.unmapped_columns,
        "failures": len(report.failures),
        "reasons": [
            {"file": failure.file, "locator": failure.locator, "reason": failure.reason}
            for failure in report.failures[:MAX_REASONS]
        ],
        "unchanged": unchanged,
        "cpu_s": round(report.cpu_s, 2),
    }


def _explain_emptiness(report: Report) -> str:
    """Return why a source gave no Record: its first failures, else what was left out."""
    failures = [f"{failure.file} {failure.reason}".strip() for failure in report.failures[:3]]
    left_out = [f"{count} {reason}" for reason, count in report.dropped.items()]
    return f"no Record: {'; '.join(failures or left_out[:3]) or 'its files hold nothing'}"


def _show_summary(summary: dict[str, dict[str, object]], report_path: str) -> None:
    rows = {name: row for name, row in summary.items() if "error" not in row}
    if not rows:
        return
    counts = ("files", "records", "by_status", "dropped", "scrubbed", "failures")
    show(
        ["source", "files", "records", "by status", "dropped", "scrubbed", "failures", "", "CPU-s"],
        [
            [
                name,
                *(_flat(row[key]) for key in counts),
                "unchanged" if row["unchanged"] else "",
                row["cpu_s"],
            ]
            for name, row in rows.items()
        ],
    )
    for name, row in rows.items():
        if columns := row["unmapped_columns"]:
            typer.echo(f"{name}: columns that no field takes: {_flat(columns)}")
    if any(row["failures"] for row in rows.values()):
        typer.echo(f"What failed, and why: {report_path}")


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return str(value)
