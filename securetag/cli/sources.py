"""`securetag source`: what the catalog knows, fetching it, and extracting it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from securetag.cli.output import Json, emit, reported, show

if TYPE_CHECKING:
    from securetag.extractors.fetching.download import Progress
    from securetag.settings import Settings

app = typer.Typer(help="Upstream publications: list, fetch, extract.", no_args_is_help=True)
Names = Annotated[list[str] | None, typer.Argument(help="Names from `securetag source list`.")]
All = Annotated[bool, typer.Option("--all", help="Every source whose files are in reach.")]


@app.command("list")
@reported
def list_sources(as_json: Json = False) -> None:
    """Every source of the catalog, with licence and cadence."""
    from securetag.extractors import catalog
    from securetag.settings import get_settings

    columns = ["name", "tier", "publisher", "dataset", "edition", "licence", "url", "cadence"]
    known = catalog.load(get_settings().catalog).values()
    rows = [{column: getattr(source, column) for column in columns} for source in known]
    if as_json:
        emit(rows)
    else:
        show(columns, [list(row.values()) for row in rows])


@app.command()
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
    for name in _chosen(settings, names, every):
        try:
            with _progress(name, quiet=as_json) as progress:
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
                [name, *(_flat(row[key]) for key in ("files", "records", "by_status", "dropped", "failures")),
                 "unchanged" if row["unchanged"] else "", row["cpu_s"]]
                for name, row in summary.items()
            ],
        )  # fmt: skip
        if any(row["failures"] for row in summary.values()):
            typer.echo(f"What failed, and why: {settings.records_dir}/<source>.report.json")
    for name, reason in broken.items():
        typer.secho(f"error: {name}: {reason}", fg="red", err=True)
    if broken:
        raise typer.Exit(1)


@app.command()
@reported
def fetch(names: Names = None, every: All = False, as_json: Json = False) -> None:
    """Bring a source's files into the cache without reading them."""
    from securetag.extractors.catalog import get_source
    from securetag.extractors.fetching.fetch import fetch as fetch_source
    from securetag.settings import get_settings

    settings = get_settings()
    rows = []
    for name in _chosen(settings, names, every):
        with _progress(name, quiet=as_json) as progress:
            found = fetch_source(get_source(name, settings), settings, progress)
        rows += [
            {"source": name, "url": file.url, "path": str(file.path), "sha256": file.sha256} for file in found
        ]
    if as_json:
        emit(rows)
    else:
        show(["source", "url", "path"], [[row["source"], row["url"], row["path"]] for row in rows])


def _chosen(settings: Settings, names: list[str] | None, every: bool) -> list[str]:
    from securetag.errors import NotFoundError
    from securetag.extractors import catalog

    known = catalog.load(settings.catalog)
    if every:
        return [source.name for source in known.values() if catalog.is_usable(source, settings)]
    unknown = [name for name in names or [] if name not in known]
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


@contextmanager
def _progress(name: str, *, quiet: bool) -> Iterator[Progress | None]:
    """A bar of the files (or bytes) of one source; nothing where standard error is no terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda what, done, of: bar.update(
            task, description=f"{name} {what if what != name else ''}", completed=done, total=of or None
        )
