"""Read advisories in OSV form: GitHub (GHSA), Go, PyPA, and any other database that writes it.

Format: https://ossf.github.io/osv-schema/, one advisory a file or a list of them, as JSON or (PyPA) YAML.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.advisories.advisory import (
    Advisory,
    Section,
    Versions,
    drop_repeated,
    get_day,
    group_by_language,
    list_cwe_ids,
    make_records,
)
from securetag.extractors.readers.advisories.affected_ranges import evaluate_osv
from securetag.extractors.readers.advisories.cvss_score import (
    Score,
    choose_best_score,
    compute_score,
    parse_severity,
)
from securetag.extractors.readers.base import Item, Reader, decode_json, describe_error, read_text
from securetag.extractors.text import prose
from securetag.extractors.text.yaml_doc import decode_yaml
from securetag.records import Severity, Status

#: Prefix of an id → the page for people; osv.dev has the others.
_PAGES = {
    "GHSA": "https://github.com/advisories/{}",
    "GO": "https://pkg.go.dev/vuln/{}",
    "RUSTSEC": "https://rustsec.org/advisories/{}.html",
}
#: Maximum functions and methods in a text.
MAX_SYMBOLS = 40


class _Package(msgspec.Struct, frozen=True):
    name: str = ""
    ecosystem: str = ""


class _Severity(msgspec.Struct, frozen=True):
    type: str = ""
    score: str = ""


class _Range(msgspec.Struct, frozen=True):
    type: str = ""
    events: list[dict[str, str]] = []


class _Import(msgspec.Struct, frozen=True):
    path: str = ""
    symbols: list[str] | None = None


class _Ecosystem(msgspec.Struct, frozen=True):
    imports: list[_Import] | None = None


class _Affected(msgspec.Struct, frozen=True):
    package: _Package = _Package()
    ranges: list[_Range] | None = None
    versions: list[str] | None = None
    severity: list[_Severity] | None = None
    ecosystem_specific: _Ecosystem | None = None
    #: Free-form; GitHub's `last_known_affected_version_range` is read.
    database_specific: object = None


class _Reference(msgspec.Struct, frozen=True):
    url: str = ""


class _Database(msgspec.Struct, frozen=True):
    """Free-form fields of a database: those of GitHub and Go are read where they have the expected type."""

    cwe_ids: Any = None
    severity: Any = None
    url: Any = None


class Osv(msgspec.Struct, frozen=True):
    """One advisory."""

    id: str
    summary: str | None = ""
    details: str | None = ""
    published: str | None = None
    withdrawn: str | None = None
    aliases: list[str] | None = None
    related: list[str] | None = None
    severity: list[_Severity] | None = None
    affected: list[_Affected] | None = None
    references: list[_Reference] | None = None
    database_specific: _Database | None = None


class OsvReader(Reader):
    """Reads OSV documents of any database."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        text = read_text(file)
        start = text.lstrip()[:1]
        if start == "[":
            items = [(f"/{n}", raw) for n, raw in enumerate(decode_json(text.encode(), list[msgspec.Raw]))]
        elif start == "{":
            items = [("", msgspec.Raw(text.encode()))]
        else:
            yield from self._records(decode_yaml(text, Osv), file, "")
            return
        for locator, raw in items:
            try:
                osv = decode_json(bytes(raw), Osv)
            except SourceError as error:
                yield Failure(str(file.path), locator, describe_error(error))
                continue
            yield from self._records(osv, file, locator)

    def _records(self, osv: Osv, file: FetchedFile, locator: str) -> Iterator[Item]:
        url = (osv.database_specific or _Database()).url
        yield from make_records(
            self,
            file,
            partial(make_advisory, osv),
            locator=locator or "/",
            url=url if isinstance(url, str) and url.startswith("https://") else get_page_url(osv.id),
        )


def get_page_url(key: str) -> str:
    """Return the page of an advisory for people."""
    return _PAGES.get(key.split("-", 1)[0], "https://osv.dev/vulnerability/{}").format(key)


def make_advisory(osv: Osv) -> Advisory:
    """Return an OSV document as an advisory."""
    summary, details = (osv.summary or "").strip(), (osv.details or "").strip()
    specific = osv.database_specific or _Database()
    affected = osv.affected or []
    sections: list[tuple[Section, str, str]] = [
        ("functions", "en", render_functions(_list_imports(affected)))
    ]
    return Advisory(
        key=osv.id,
        name=summary,
        texts=group_by_language([("en", details or summary)]),
        affected=[versions for item in affected if (versions := _make_versions(item))],
        sections=sections,
        score=_choose_score(osv),
        severity=_parse_severity(specific.severity),
        cwe=list_cwe_ids(cwe for cwe in _as_list(specific.cwe_ids) if isinstance(cwe, str)),
        aliases=osv.aliases or [],
        related=osv.related or [],
        references=[reference.url for reference in osv.references or []],
        published=get_day(osv.published),
        status=Status.WITHDRAWN if osv.withdrawn else Status.ACTIVE,
    )


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _parse_severity(value: object) -> Severity | None:
    return parse_severity(value) if isinstance(value, str) else None


def _choose_score(osv: Osv) -> Score | None:
    """Return the score of the advisory; without one the highest score of its packages."""
    advisory_scores = [score for item in osv.severity or [] if (score := compute_score(item.score))]
    if advisory_scores:
        return choose_best_score(advisory_scores)
    package_scores = [
        compute_score(item.score) for package in osv.affected or [] for item in package.severity or []
    ]
    return max((score for score in package_scores if score), key=lambda score: score.value, default=None)


def _make_versions(item: _Affected) -> Versions | None:
    if not item.package.name:
        return None
    specific = item.database_specific
    last_known = specific.get("last_known_affected_version_range") if isinstance(specific, dict) else ""
    return evaluate_osv(
        item.package.name,
        item.package.ecosystem,
        [(version_range.type, version_range.events) for version_range in item.ranges or []],
        item.versions or [],
        last_known if isinstance(last_known, str) else "",
    )


def _list_imports(affected: list[_Affected]) -> Iterator[tuple[str, list[str]]]:
    for item in affected:
        for imported in (item.ecosystem_specific or _Ecosystem()).imports or []:
            yield imported.path, imported.symbols or []


def render_functions(imports: Iterator[tuple[str, list[str]]]) -> str:
    """Return a Markdown list of modules and their affected symbols, at most MAX_SYMBOLS of them."""
    lines, remaining = [], MAX_SYMBOLS
    for path, symbols in imports:
        shown = drop_repeated(symbols)[: max(remaining, 0)]
        remaining -= len(shown)
        if shown:
            lines.append(
                f"- {prose.make_code_span(path)}: {', '.join(prose.make_code_span(name) for name in shown)}"
            )
    return "\n".join(lines)
