"""RustSec advisories: a fenced `toml` block, then Markdown whose first heading is the title.

Format: https://github.com/RustSec/advisory-db/blob/main/EXAMPLE_ADVISORY.md.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from securetag.errors import SourceError
from securetag.extractors.catalog import to_spdx
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.advisories.advisory import (
    Advisory,
    Section,
    Versions,
    by_language,
    day,
    records,
)
from securetag.extractors.readers.advisories.cvss_score import score_of
from securetag.extractors.readers.advisories.osv import page
from securetag.extractors.readers.base import Item, Reader, read_text
from securetag.extractors.text import prose
from securetag.records import Status, normalise_text

_FRONT = re.compile(
    r"\A\s*(?P<fence>`{3,}|~{3,})[ \t]*toml[ \t]*\n(?P<toml>.*?\n)(?P=fence)[ \t]*(?:\n|\Z)", re.S
)
_TITLE = re.compile(r"\A\s*#[ \t]+(?P<title>[^\n]+?)[ \t]*#*[ \t]*(?:\n|\Z)")
#: Characters of a TOML block; the longest of 135 has 1,300. tomllib is quadratic in a dotted key.
_LONGEST = 20_000


class _Meta(msgspec.Struct, frozen=True):
    id: str
    package: str
    date: Any = ""
    url: str | None = None
    references: list[str] = []
    categories: list[str] = []
    aliases: list[str] = []
    related: list[str] = []
    cvss: str | None = None
    informational: str | None = None
    withdrawn: Any = None
    license: str | None = None


class _Versions(msgspec.Struct, frozen=True):
    patched: list[str] = []
    unaffected: list[str] = []


class _Affected(msgspec.Struct, frozen=True):
    os: list[str] = []
    functions: dict[str, Any] = {}


class _Front(msgspec.Struct, frozen=True):
    advisory: _Meta
    versions: _Versions = _Versions()
    affected: _Affected = _Affected()


class RustSecReader(Reader):
    """Reads one advisory a file."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        front, title, body = parse(normalise_text(read_text(file)))
        meta = front.advisory
        if meta.license:  # some were taken over from elsewhere, under that licence
            file = msgspec.structs.replace(file, licence=to_spdx(meta.license))
        yield from records(
            self, file, partial(_advisory, front, title, body), locator=title or meta.id, url=page(meta.id)
        )


def parse(text: str) -> tuple[_Front, str, str]:
    """(front matter, title, body). Raises SourceError for what is no advisory."""
    match = _FRONT.match(text)
    if match is None or len(match["toml"]) > _LONGEST:
        raise SourceError("no RustSec advisory: it doesn't begin with a fenced toml block")
    try:
        front = msgspec.convert(tomllib.loads(match["toml"]), _Front)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise SourceError(f"not the TOML that was expected: {error}") from error
    body = text[match.end() :]
    title = _TITLE.match(body)
    return (front, prose.clean_line(title["title"]), body[title.end() :]) if title else (front, "", body)


def _advisory(front: _Front, title: str, body: str) -> Advisory:
    meta = front.advisory
    listed = "\n".join(f"- {prose.make_code_span(name)}" for name in list(front.affected.functions)[:40])
    sections: list[tuple[Section, str, str]] = [("functions", "en", listed)]
    if front.versions.patched:
        fixed = ", ".join(prose.make_code_span(version) for version in front.versions.patched)
        sections.append(
            ("solutions", "en", f"Patched versions of {prose.make_code_span(meta.package)}: {fixed}.")
        )
    safe = [*front.versions.patched, *front.versions.unaffected]
    return Advisory(
        key=meta.id,
        name=title,
        texts=by_language([("en", body if body.strip() else title)]),
        affected=[Versions(f"crates.io/{meta.package}", safe or ["*"], excluding=bool(safe))],
        sections=sections,
        score=score_of(meta.cvss) if meta.cvss else None,
        # An informational advisory (unmaintained, unsound, notice) tells of no known attack.
        severity="info" if meta.informational and not meta.cvss else None,
        aliases=meta.aliases,
        related=meta.related,
        references=[*([meta.url] if meta.url else []), *meta.references],
        platforms=front.affected.os,
        published=day(str(meta.date)),
        status=Status.WITHDRAWN if meta.withdrawn else Status.ACTIVE,
    )
