"""Which row replaces which: newer editions, and the rows that a merged source is made of."""

from __future__ import annotations

from securetag.extractors.catalog.availability import get_parts, is_usable
from securetag.extractors.catalog.loading import load
from securetag.extractors.catalog.source import Source
from securetag.settings import Settings


def list_usable_parts(source: Source, settings: Settings) -> list[Source]:
    """Return the usable rows that `source` is made of, without those that another of them supersedes."""
    parts = [row for row in get_parts(source, settings) if is_usable(row, settings)]
    superseded = {name for row in parts for name in row.supersedes}
    return [row for row in parts if row.name not in superseded]


def find_newer_edition(source: Source, settings: Settings) -> Source | None:
    """Return the last usable row that supersedes `source`, directly or through others; None without one."""
    sources, newest = load(settings.catalog), None
    seen, wave = {source.name}, [source.name]
    while wave:
        successors = [
            row
            for row in sources.values()
            if row.name not in seen and not set(wave).isdisjoint(row.supersedes)
        ]
        newest = next((row for row in successors if is_usable(row, settings)), newest)
        wave = [row.name for row in successors]
        seen.update(wave)
    return newest


def list_default_sources(settings: Settings, tiers: tuple[str, ...] = ("core",)) -> list[str]:
    """Return the names that a build takes by default: usable rows of `tiers`, each in its newest edition."""
    return sorted(
        row.name
        for row in load(settings.catalog).values()
        if row.tier in tiers and is_usable(row, settings) and find_newer_edition(row, settings) is None
    )
