"""NOTICE of a release: each publisher with its rows and sources, each license, and what the licenses ask."""

from __future__ import annotations

from collections.abc import Iterator

from securetag.datasets.knowledge.credits import split_publishers
from securetag.datasets.licences import list_obligations, needs_attribution
from securetag.datasets.releases.manifest import Manifest, SourceEntry

NOTICE = "NOTICE"


def render_notice(manifest: Manifest) -> str:
    """Return the text of NOTICE: it names no time and no place, so the same release has the same bytes."""
    lines = [f"Securetag release {manifest.digest}", "", "Licenses of the rows (SPDX):", ""]
    licences = manifest.counts.get("by_licence", {})
    lines += [f"  {rows:>9,}  {licence}" for licence, rows in sorted(licences.items())]
    lines += [
        "",
        "Publishers whose work the rows adapt. A row may name several; its column `attribution` has title,",
        "address and license of everything that it quotes.",
        "",
    ]
    for publisher, rows, sources in list_credits(manifest):
        lines.append(f"  {publisher}: {rows:,} rows")
        lines += [f"    {_describe(source)}" for source in sources]
    lines += ["", "Terms:", "", *(f"- {term}" for term in list_terms(manifest)), ""]
    return "\n".join(lines)


def list_credits(manifest: Manifest) -> Iterator[tuple[str, int, list[SourceEntry]]]:
    """Yield each publisher, the number of rows that name it, and its sources in the release."""
    for publisher, rows in sorted(manifest.counts.get("by_publisher", {}).items()):
        yield (
            publisher,
            rows,
            [
                source
                for source in manifest.sources
                if source.rows and publisher in split_publishers(source.publisher)
            ],
        )


def list_terms(manifest: Manifest) -> list[str]:
    """Return sentences: what the licenses of the rows ask, and whom to name."""
    terms = list_obligations(manifest.counts.get("by_licence", {}))
    terms += [
        f"{source.publisher}, {source.name}: {', '.join(source.licences)}, {source.urls[0]}; adapted."
        for source in manifest.sources
        if source.rows and any(map(needs_attribution, source.licences))
    ]
    return [*terms, "Synthetic rows are Apache-2.0. Every row names its license."]


def _describe(source: SourceEntry) -> str:
    parts = [source.name, *source.editions, *source.licences, *filter(None, source.urls)]
    return f"{', '.join(parts)}; {source.rows:,} rows"
