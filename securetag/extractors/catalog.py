"""The catalog of sources: what is published where, in which edition, under which licence.

`catalog.yaml` beside this module holds ours; a second file of the same schema may hold a user's.
This module reads no publication and opens no connection.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from securetag.errors import NotFoundError, SettingsError
from securetag.records import TextLang
from securetag.settings import Settings

Way = Literal["package", "mirror", "network", "folder", "records", "web"]

#: Spellings of manifests and publishers → SPDX expressions.
LICENCES = {
    "LicenseRef-US-Gov-Public-Domain (17 USC 105)": "LicenseRef-US-Gov-Public-Domain",
    "Public Domain": "LicenseRef-US-Gov-Public-Domain",
    "GPL-3.0": "GPL-3.0-only",
    "CC0": "CC0-1.0",
    "LicenseRef-CVE-Terms-of-Use": "LicenseRef-MITRE-CVE-Terms-of-Use",
}


class PackageWay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files inside an installed Python package, which is located without being imported."""

    #: Import name, for example `cwe2`.
    name: str
    #: Path inside the package's folder.
    file: str
    sha256: str


class NetworkWay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One URL: a file, a zip archive of which the members that match `members` are taken, or an `api`."""

    url: str
    sha256: str | None = None
    members: str | None = None
    #: `nvd`: all pages of NVD's CVE API 2.0, with the filter that the URL's query may hold.
    api: Literal["nvd"] | None = None


class FolderWay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user's own folder; `glob` as pathlib knows it."""

    path: str
    glob: str = "**/*"


class WebWay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of a site: the pages below `prefix`, from its sitemap or by links, within bounds."""

    #: Nothing outside of it is asked for, robots.txt and sitemaps of the same host apart.
    prefix: str
    #: Pages to begin with; the prefix itself where none is named.
    start: list[str] = []
    #: True = also what the site's sitemaps list.
    sitemap: bool = False
    #: Links away from those at which a page is still taken; 0 = those alone.
    depth: int = 2
    #: Globs over addresses.
    include: list[str] = []
    exclude: list[str] = []
    #: Seconds between two requests; robots.txt may ask for more.
    delay_s: float = 1.0
    #: Bounds of one crawl: pages, bytes of one page and of all, seconds.
    pages: int = 500
    page_bytes: int = 4 << 20
    total_bytes: int = 256 << 20
    seconds: float = 3_600.0


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One edition of one upstream publication: a row of the catalog."""

    name: str
    tier: Literal["core", "extended", "hf"]
    publisher: str
    #: Editions of one dataset share this; keys are comparable inside it.
    dataset: str
    title: str
    edition: str
    #: Names of the rows that this one replaces: the edition before it, or what it was merged from.
    supersedes: list[str] = []
    #: The page that a person opens.
    url: str
    #: SPDX expression.
    licence: str
    #: How often upstream publishes.
    cadence: Literal["daily", "weekly", "monthly", "quarterly", "yearly", "irregular", "never"] = "irregular"
    #: Name of the reader, see `securetag.extractors.readers`.
    reader: str
    options: dict[str, Any] = {}
    lang: TextLang = "en"
    package: PackageWay | None = None
    #: Globs over the URLs that a mirror's manifest answers for.
    mirror: list[str] = []
    network: list[NetworkWay] = []
    folder: FolderWay | None = None
    web: WebWay | None = None
    #: Names of the rows whose Records this one's are made of, the weightiest first: no files of its own.
    records: list[str] = []

    @property
    def needs(self) -> list[Way]:
        """Ways in which this source can be had, in the order in which they are tried."""
        ways: list[tuple[Way, Any]] = [
            ("folder", self.folder), ("package", self.package), ("mirror", self.mirror),
            ("network", self.network), ("web", self.web), ("records", self.records),
        ]  # fmt: skip
        return [way for way, given in ways if given]

    @property
    def sha256(self) -> str | None:
        """The pinned checksum, where one file is the whole source."""
        if self.package:
            return self.package.sha256
        return self.network[0].sha256 if len(self.network) == 1 else None


class Availability(msgspec.Struct, frozen=True):
    """Whether a source can be had under these settings. True in a condition when it can."""

    ways: list[Way]
    reason: str

    def __bool__(self) -> bool:
        return bool(self.ways)

    @property
    def local(self) -> bool:
        """True = without the network."""
        return bool(self.ways) and self.ways[0] not in ("network", "web")


def spdx(licence: str) -> str:
    """A manifest's own spelling of a licence as an SPDX expression."""
    return LICENCES.get(licence, licence)


def _read(path: Path) -> dict[str, Source]:
    try:
        return _parse(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise SettingsError(
            f"catalog {path}: {error.strerror}", hint="SECURETAG_CATALOG names a file of catalog rows."
        ) from error


@lru_cache(maxsize=8)
def _parse(path: Path, _changed: int) -> dict[str, Source]:
    try:
        rows = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), list[Source])
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(
            f"catalog {path}: {error}", hint="docs/sources.md shows what a catalog row holds."
        ) from error
    found: dict[str, Source] = {}
    for row in rows:
        if row.name in found:
            raise SettingsError(f"catalog {path}: two rows are named {row.name}")
        if not row.needs:
            raise SettingsError(f"catalog {path}: {row.name} names no way to have it")
        found[row.name] = row
    return found


def load(extra: Path | None = None) -> dict[str, Source]:
    """Our catalog, and a user's beside it, by name. Raises SettingsError for a file that isn't one."""
    sources = dict(_read(Path(__file__).with_name("catalog.yaml")))
    for name, row in _read(extra).items() if extra else ():
        if name in sources:
            raise SettingsError(f"catalog {extra}: {name} is a name of the built-in catalog")
        if row.folder and not Path(row.folder.path).is_absolute():
            folder = msgspec.structs.replace(row.folder, path=str(extra.parent / row.folder.path))  # type: ignore[union-attr]
            row = msgspec.structs.replace(row, folder=folder)  # noqa: PLW2901
        sources[name] = row
    for row in sources.values():
        for name in row.supersedes:
            if name not in sources:
                raise SettingsError(f"catalog: {row.name} supersedes {name}, which is no row")
        for name in row.records:
            if name not in sources or sources[name].records:
                raise SettingsError(f"catalog: {row.name} is made of {name}, which is no row with files")
    return sources


def source_named(name: str, settings: Settings) -> Source:
    """Raises NotFoundError with the names there are."""
    sources = load(settings.catalog)
    if name not in sources:
        raise NotFoundError(
            f"no source is named {name}", hint=f"`securetag source list` knows: {', '.join(sorted(sources))}."
        )
    return sources[name]


def package_file(way: PackageWay) -> Path | None:
    """Where the package's data lies, without importing it; None when it isn't installed."""
    try:
        spec = find_spec(way.name)
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / way.file).is_file():
            return path
    return None


def obtainable(source: Source, settings: Settings) -> Availability:
    """The ways in which `source` can be had now, best first, or the reason why there is none."""
    from securetag.extractors.mirror import Mirror

    mode, ways, reasons = settings.fetch.mode, list[Way](), list[str]()
    for way in source.needs:
        if mode not in ("auto", "network" if way == "web" else way) and way not in ("folder", "records"):
            reasons.append(f"fetch.mode is {mode}")
        elif way == "package" and source.package and not package_file(source.package):
            reasons.append(f"the package {source.package.name} is not installed")
        elif way == "mirror" and settings.mirror is None:
            reasons.append("SECURETAG_MIRROR is not set")
        elif way == "mirror" and settings.mirror and not Mirror.at(settings.mirror).select(source.mirror):
            reasons.append("the mirror does not hold it")
        elif way == "folder" and source.folder and not Path(source.folder.path).is_dir():
            reasons.append(f"there is no folder {source.folder.path}")
        elif way == "records" and not any(usable(row, settings) for row in _parts(source, settings)):
            reasons.append(f"none of {', '.join(source.records)} can be had")
        else:
            ways.append(way)
    return Availability(ways, "" if ways else "; ".join(dict.fromkeys(reasons)))


def usable(source: Source, settings: Settings) -> bool:
    """True = obtainable, without the network unless the settings name the network."""
    found = obtainable(source, settings)
    return bool(found) and (found.local or settings.fetch.mode == "network")


def _parts(source: Source, settings: Settings) -> list[Source]:
    rows = load(settings.catalog)
    return [rows[name] for name in source.records]


def constituents(source: Source, settings: Settings) -> list[Source]:
    """The usable rows whose Records `source` is made of, without those that another of them supersedes."""
    parts = [row for row in _parts(source, settings) if usable(row, settings)]
    replaced = {name for row in parts for name in row.supersedes}
    return [row for row in parts if row.name not in replaced]


def newer_edition(source: Source, settings: Settings) -> Source | None:
    """The usable row furthest from this one that supersedes it, directly or through others; None if none."""
    sources, newest = load(settings.catalog), None
    seen, wave = {source.name}, [source.name]
    while wave:
        after = [
            row
            for row in sources.values()
            if row.name not in seen and not set(wave).isdisjoint(row.supersedes)
        ]
        newest = next((row for row in after if usable(row, settings)), newest)
        wave = [row.name for row in after]
        seen.update(wave)
    return newest


def default_sources(settings: Settings, tiers: tuple[str, ...] = ("core",)) -> list[str]:
    """Names of what a build takes when nobody names any: usable, in `tiers`, the newest edition of each."""
    return sorted(
        row.name
        for row in load(settings.catalog).values()
        if row.tier in tiers and usable(row, settings) and newer_edition(row, settings) is None
    )
