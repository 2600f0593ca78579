"""The schema of a catalog row: what is published where, in which edition, under which license."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

import msgspec

from securetag.records import JsonObject, TextLang

#: How the files of a source are fetched; `records` means that they are the Records of other sources.
FetchMethod = Literal["package", "mirror", "network", "folder", "records", "web", "published"]
#: A package index, as package URLs name its kind.
Ecosystem = Literal["pypi", "npm"]
#: Neither may begin like an option of a client's command line, nor leave a folder.
PackageName = Annotated[str, msgspec.Meta(pattern=r"^(@[a-z0-9~][\w.~-]*/)?[A-Za-z0-9~][\w.~-]*\Z")]
PackageVersion = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][\w.+!-]*\Z")]


class PackageMethod(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of an installed Python package, which is located without being imported."""

    #: Import name, for example `cwe2`.
    name: str
    #: Path inside the package's folder.
    file: str
    sha256: str


class NetworkMethod(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One URL: a file, a zip archive whose members that match `members` are taken, or an `api`."""

    url: str
    sha256: str | None = None
    members: str | None = None
    #: `nvd`: all pages of NVD's CVE API 2.0, with the filter that the URL's query may hold.
    api: Literal["nvd"] | None = None


class FolderMethod(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A folder of the user; `glob` selects files in it, with the syntax of pathlib."""

    path: str
    glob: str = "**/*"


class WebMethod(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of a site: the pages below `prefix`, from its sitemap or by links, within bounds."""

    #: Only addresses below it are requested, and robots.txt and the sitemaps of the same host.
    prefix: str
    #: Pages to begin with; by default the prefix.
    start: list[str] = []
    #: Whether to begin also with the pages that the sitemaps of the site list.
    sitemap: bool = False
    #: Maximum number of links between a first page and a page that is taken; 0 takes the first pages only.
    depth: int = 2
    #: Globs over addresses; `exclude` wins.
    include: list[str] = []
    exclude: list[str] = []
    #: Seconds between two requests; a longer delay in robots.txt wins.
    delay_s: float = 1.0
    #: Limits of one crawl: number of pages, bytes of one page, bytes of all pages, seconds.
    pages: int = 500
    page_bytes: int = 4 << 20
    total_bytes: int = 256 << 20
    seconds: float = 3_600.0


class PublishedFix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two published versions of a package, between which an advisory's vulnerability was corrected."""

    ecosystem: Ecosystem
    package: PackageName
    #: The last version that the advisory names, and the first one that it doesn't.
    vulnerable: PackageVersion
    fixed: PackageVersion
    #: CVE, GHSA or the index's own identifier.
    advisory: str
    cwe: Annotated[str, msgspec.Meta(pattern=r"^CWE-[1-9]\d*$")]

    def make_url(self, version: str) -> str:
        """Return the package URL of one version: https://github.com/package-url/purl-spec."""
        return f"pkg:{self.ecosystem}/{quote(self.package, safe='/')}@{quote(version)}"


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One edition of one upstream publication: a row of the catalog."""

    name: str
    tier: Literal["core", "extended", "hf", "replay"]
    publisher: str
    #: Shared by all editions of one dataset; keys of Records are comparable within it.
    dataset: str
    title: str
    edition: str
    #: Names of the rows that this one replaces: the previous edition, or the rows that it was merged from.
    supersedes: list[str] = []
    #: The page that a person opens.
    url: str
    #: SPDX expression.
    licence: str
    #: How often the publisher releases an edition.
    cadence: Literal["daily", "weekly", "monthly", "quarterly", "yearly", "irregular", "never"] = "irregular"
    #: Name of the reader, see `securetag.extractors.readers.registry`.
    reader: str
    options: JsonObject = {}
    lang: TextLang = "en"
    package: PackageMethod | None = None
    #: Globs over the URLs in the manifest of a mirror.
    mirror: list[str] = []
    #: Globs of files that a mirror adds where it has them, and that alone do not make the row available.
    mirror_companions: list[str] = []
    network: list[NetworkMethod] = []
    folder: FolderMethod | None = None
    web: WebMethod | None = None
    #: Pairs of versions of packages, which their index's own client downloads.
    published: list[PublishedFix] = []
    #: Names of the rows whose Records are merged into those of this row, the preferred one first.
    records: list[str] = []
    #: Whether secrets and personal data in its Records are replaced. By default a user's rows are scrubbed,
    #: and ours, which are publications, are not.
    scrub: bool | None = None

    @property
    def methods(self) -> list[FetchMethod]:
        """Fetch methods that the row names, in the order in which they are tried."""
        candidates: list[tuple[FetchMethod, object]] = [
            ("folder", self.folder),
            ("package", self.package),
            ("mirror", self.mirror),
            ("network", self.network),
            ("web", self.web),
            ("published", self.published),
            ("records", self.records),
        ]
        return [method for method, options in candidates if options]

    @property
    def sha256(self) -> str | None:
        """Pinned checksum of a source that is one file; None for any other."""
        if self.package:
            return self.package.sha256
        return self.network[0].sha256 if len(self.network) == 1 else None
