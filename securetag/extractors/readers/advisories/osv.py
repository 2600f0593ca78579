"""Advisories in OSV form: GitHub (GHSA), Go, PyPA, and any other database that writes it.

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
    by_language,
    cwes,
    day,
    records,
    span,
    unique,
)
from securetag.extractors.readers.advisories.cvss_score import Score, best, score_of, severity_word
from securetag.extractors.readers.base import Item, Reader, decode_json, read_text, reason_of
from securetag.extractors.text import prose
from securetag.extractors.text.yaml_doc import decode_yaml
from securetag.records import Severity, Status

#: Prefix of an id → the page that a person opens; osv.dev shows the rest.
_PAGES = {
    "GHSA": "https://github.com/advisories/{}",
    "GO": "https://pkg.go.dev/vuln/{}",
    "RUSTSEC": "https://rustsec.org/advisories/{}.html",
}
#: Functions and methods that a text names.
_SYMBOLS = 40


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


class _Reference(msgspec.Struct, frozen=True):
    url: str = ""


class _Database(msgspec.Struct, frozen=True):
    """Free-form by the schema: only what GitHub and Go put there is read, if it has that type."""

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
                found = decode_json(bytes(raw), Osv)
            except SourceError as error:
                yield Failure(str(file.path), locator, reason_of(error))
                continue
            yield from self._records(found, file, locator)

    def _records(self, osv: Osv, file: FetchedFile, locator: str) -> Iterator[Item]:
        url = (osv.database_specific or _Database()).url
        yield from records(
            self, file, partial(advisory, osv), locator=locator or "/",
            url=url if isinstance(url, str) and url.startswith("https://") else page(osv.id),
        )  # fmt: skip


def page(key: str) -> str:
    """The page of an advisory that a person opens."""
    return _PAGES.get(key.split("-", 1)[0], "https://osv.dev/vulnerability/{}").format(key)


def advisory(osv: Osv) -> Advisory:
    """What an OSV document says."""
    summary, details = (osv.summary or "").strip(), (osv.details or "").strip()
    specific = osv.database_specific or _Database()
    affected = osv.affected or []
    sections: list[tuple[Section, str, str]] = [("functions", "en", functions(_imports(affected)))]
    return Advisory(
        key=osv.id,
        name=summary,
        texts=by_language([("en", details or summary)]),
        affected=[versions for item in affected if (versions := _versions(item))],
        sections=sections,
        score=_score(osv),
        severity=_word(specific.severity),
        cwe=cwes(cwe for cwe in _list(specific.cwe_ids) if isinstance(cwe, str)),
        aliases=osv.aliases or [],
        related=osv.related or [],
        references=[reference.url for reference in osv.references or []],
        published=day(osv.published),
        status=Status.WITHDRAWN if osv.withdrawn else Status.ACTIVE,
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _word(value: Any) -> Severity | None:
    return severity_word(value) if isinstance(value, str) else None


def _score(osv: Osv) -> Score | None:
    """The advisory's own, else the worst of its packages'."""
    given = [score for item in osv.severity or [] if (score := score_of(item.score))]
    if given:
        return best(given)
    found = [score_of(item.score) for package in osv.affected or [] for item in package.severity or []]
    return max((score for score in found if score), key=lambda score: score.value, default=None)


def _versions(item: _Affected) -> Versions | None:
    if not item.package.name:
        return None
    ranges = [text for given in item.ranges or [] if given.type != "GIT" for text in spans(given.events)]
    name = "/".join(part for part in (item.package.ecosystem, item.package.name) if part)
    return Versions(name, ranges or list(item.versions or []))


def spans(events: list[dict[str, str]]) -> Iterator[str]:
    """`≥ 1.0, < 1.2` of a range's events (`introduced`, `fixed`, `last_affected`), which come in order."""
    low: str | None = None
    for event in events:
        if "introduced" in event:
            if low is not None:
                yield span(low)
            low = event["introduced"]
        high = event.get("fixed") or event.get("last_affected")
        if low is not None and high:
            yield span(low, high, including="fixed" not in event)
            low = None
    if low is not None:
        yield span(low)


def _imports(affected: list[_Affected]) -> Iterator[tuple[str, list[str]]]:
    for item in affected:
        for found in (item.ecosystem_specific or _Ecosystem()).imports or []:
            yield found.path, found.symbols or []


def functions(found: Iterator[tuple[str, list[str]]]) -> str:
    """A Markdown list of modules and the symbols in them that are affected, cut at 40."""
    lines, left = [], _SYMBOLS
    for path, symbols in found:
        shown = unique(symbols)[: max(left, 0)]
        left -= len(shown)
        if shown:
            lines.append(
                f"- {prose.make_code_span(path)}: {', '.join(prose.make_code_span(name) for name in shown)}"
            )
    return "\n".join(lines)
