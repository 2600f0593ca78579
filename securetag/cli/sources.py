"""`securetag source`: what the catalog knows, and extracting it."""

from __future__ import annotations

from typing import Annotated

import typer

from securetag.cli.output import Json, emit, reported, show

app = typer.Typer(help="Upstream publications: list, fetch, extract.", no_args_is_help=True)
Names = Annotated[list[str] | None, typer.Argument(help="Names from `securetag source list`.")]
All = Annotated[bool, typer.Option("--all", help="Every source whose files are in reach.")]


@app.command("list")
@reported
def list_sources(as_json: Json = False) -> None:
    """Every source of the catalog: name, tier, publisher, dataset, edition, licence, url, cadence."""
    from securetag.extractors import catalog

    columns = ["name", "tier", "publisher", "dataset", "edition", "licence", "url", "cadence"]
    rows = [{column: getattr(source, column) for column in columns} for source in catalog.load().values()]
    if as_json:
        emit(rows)
    else:
        show(columns, [list(row.values()) for row in rows])


@app.command()
@reported
def extract(names: Names = None, every: All = False, as_json: Json = False) -> None:
    """Read sources into Records below `<data>/records`."""
    from securetag.pipeline.extract import extract as extract_source
    from securetag.settings import get_settings

    settings = get_settings()
    summary = {}
    for name in _chosen(names, every):
        report = extract_source(name, settings, None if as_json else _progress)
        summary[name] = {
            "files": report.files,
            "records": report.records,
            "by_status": report.by_status,
            "dropped": report.dropped,
            "cpu_s": round(report.cpu_s, 2),
        }
    if as_json:
        emit(summary)
    else:
        show(
            ["source", "files", "records", "by status", "dropped", "CPU-s"],
            [[name, *(_flat(value) for value in row.values())] for name, row in summary.items()],
        )


@app.command()
@reported
def fetch(names: Names = None, every: All = False, as_json: Json = False) -> None:
    """Bring a source's files into the cache without reading them."""
    from securetag.extractors import catalog
    from securetag.extractors.fetch import fetch as fetch_source
    from securetag.settings import get_settings

    settings = get_settings()
    rows = []
    for name in _chosen(names, every):
        found = fetch_source(catalog.load()[name], settings, None if as_json else _progress)
        rows += [
            {"source": name, "url": file.url, "path": str(file.path), "sha256": file.sha256} for file in found
        ]
    if as_json:
        emit(rows)
    else:
        show(["source", "url", "path"], [[row["source"], row["url"], row["path"]] for row in rows])


def _chosen(names: list[str] | None, every: bool) -> list[str]:
    from securetag.errors import NotFoundError
    from securetag.extractors import catalog
    from securetag.settings import get_settings

    if every:
        return catalog.default_sources(get_settings(), tiers=("core", "extended", "hf"))
    unknown = [name for name in names or [] if name not in catalog.load()]
    if unknown or not names:
        raise NotFoundError(
            f"no source is called {', '.join(unknown)}" if unknown else "no source was named",
            hint="`securetag source list` names them; `--all` takes every one in reach.",
        )
    return names


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return str(value)


def _progress(what: str, done: int, of: int) -> None:
    typer.echo(f"{what}: {done} of {of or '?'}")
