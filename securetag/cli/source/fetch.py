"""`securetag source fetch`."""

from __future__ import annotations

from securetag.cli.output import Json, emit, reported, show
from securetag.cli.source.choice import All, Names, choose_sources
from securetag.cli.source.progress import show_progress


@reported
def fetch(names: Names = None, every: All = False, as_json: Json = False) -> None:
    """Bring a source's files into the cache without reading them."""
    from securetag.extractors.catalog import get_source
    from securetag.extractors.fetching.fetch import fetch as fetch_source
    from securetag.settings import get_settings

    settings = get_settings()
    rows = []
    for name in choose_sources(settings, names, every):
        with show_progress(name, quiet=as_json) as progress:
            files = fetch_source(get_source(name, settings), settings, progress)
        rows += [
            {"source": name, "url": file.url, "path": str(file.path), "sha256": file.sha256} for file in files
        ]
    if as_json:
        emit(rows)
    else:
        show(["source", "url", "path"], [[row["source"], row["url"], row["path"]] for row in rows])
