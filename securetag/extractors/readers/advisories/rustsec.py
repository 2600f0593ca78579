"""Read RustSec advisories: a fenced `toml` block, then Markdown whose first heading is the title.

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
    get_day,
    group_by_language,
    make_records,
)
from securetag.extractors.readers.advisories.cvss_score import compute_score
from securetag.extractors.readers.advisories.osv import get_page_url
from securetag.extractors.readers.base import Item, Reader, read_text
from securetag.extractors.text import prose
from securetag.records import JsonObject, Status, normalise_text

_TOML_BLOCK = re.compile(
    r"\A\s*(?P<fence>`{3,}|~{3,})[ \t]*toml[ \t]*\n(?P<toml>.*?\n)(?P=fence)[ \t]*(?:\n|\Z)", re.S
)
_TITLE = re.compile(r"\A\s*#[ \t]+(?P<title>[^\n]+?)[ \t]*#*[ \t]*(?:\n|\Z)")
#: Maximum characters of a TOML block; the longest of 135 has 1,300. tomllib is quadratic in a dotted key.
_MAX_TOML_CHARS = 20_000


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
    functions: JsonObject = {}


class _Front(msgspec.Struct, frozen=True):
    advisory: _Meta
    versions: _Versions = _Versions()
    affected: _Affected = _Affected()


class RustSecReader(Reader):
    """Reads one advisory a file."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        front, title, body = parse_advisory(normalise_text(read_text(file)))
        meta = front.advisory
        if meta.license:  # some were taken over from elsewhere, under that license
            file = msgspec.structs.replace(file, licence=to_spdx(meta.license))
        yield from make_records(
            self,
            file,
            partial(_make_advisory, front, title, body),
            locator=title or meta.id,
            url=get_page_url(meta.id),
        )


def parse_advisory(text: str) -> tuple[_Front, str, str]:
    """Return (front matter, title, body). Raises SourceError for a text that isn't an advisory."""
    match = _TOML_BLOCK.match(text)
    if match is None or len(match["toml"]) > _MAX_TOML_CHARS:
        raise SourceError("no RustSec advisory: it doesn't begin with a fenced toml block")
    try:
        front = msgspec.convert(tomllib.loads(match["toml"]), _Front)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise SourceError(f"not the TOML that was expected: {error}") from error
    body = text[match.end() :]
    title = _TITLE.match(body)
    return (front, prose.clean_line(title["title"]), body[title.end() :]) if title else (front, "", body)


def _make_advisory(front: _Front, title: str, body: str) -> Advisory:
    meta = front.advisory
    function_list = "\n".join(
        f"- {prose.make_code_span(name)}" for name in list(front.affected.functions)[:40]
    )
    sections: list[tuple[Section, str, str]] = [("functions", "en", function_list)]
    if front.versions.patched:
        patched_versions = ", ".join(prose.make_code_span(version) for version in front.versions.patched)
        sections.append(
            (
                "solutions",
                "en",
                f"Patched versions of {prose.make_code_span(meta.package)}: {patched_versions}.",
            )
        )
    unaffected_versions = [*front.versions.patched, *front.versions.unaffected]
    return Advisory(
        key=meta.id,
        name=title,
        texts=group_by_language([("en", body if body.strip() else title)]),
        affected=[Versions(f"crates.io/{meta.package}", ["*"], exceptions=unaffected_versions)],
        sections=sections,
        score=compute_score(meta.cvss) if meta.cvss else None,
        # An informational advisory (unmaintained, unsound, notice) tells of no known attack.
        severity="info" if meta.informational and not meta.cvss else None,
        aliases=meta.aliases,
        related=meta.related,
        references=[*([meta.url] if meta.url else []), *meta.references],
        platforms=front.affected.os,
        published=get_day(str(meta.date)),
        status=Status.WITHDRAWN if meta.withdrawn else Status.ACTIVE,
    )
