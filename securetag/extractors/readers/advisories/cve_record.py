"""CVE records of the CVE List, format 5.x: the CNA's container and those of others (ADP, mostly CISA).

Format: https://github.com/CVEProject/cve-schema (5.0 to 5.2). The CNA's word counts first; scores and
weaknesses that it leaves out are taken from the ADP containers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
from selectolax.lexbor import LexborHTMLParser

from securetag.errors import SourceError
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.advisories.advisory import (
    Advisory,
    Note,
    Section,
    Versions,
    by_language,
    cwes,
    day,
    primary,
    records,
    span,
    unique,
)
from securetag.extractors.readers.advisories.cvss_score import Score, best, severity_word
from securetag.extractors.readers.advisories.nvd import ssvc_words
from securetag.extractors.readers.base import Drop, Item, Reader, decode_json, read_bytes
from securetag.extractors.text import prose
from securetag.extractors.text.html_markdown import extract_blocks, join_blocks
from securetag.records import Severity, Status

_COMMIT = re.compile(r"[0-9a-f]{12,64}")
#: Tags of one text's HTML: more is no description, and might nest as deep.
_TAGS = 2_000
#: Of the plain text's length without URLs: HTML that says less was cut or is empty.
_SHARE = 0.8
_URL = re.compile(r"https?://\S+")
_NOTHING = {"", "n/a", "na", "unknown", "none", "-"}
_LABEL = re.compile(r"CWE-\d+:?\s*|CAPEC-\d+:?\s*")


class _Camel(msgspec.Struct, rename="camel", frozen=True):
    pass


class _Media(_Camel, frozen=True):
    type: str = ""
    value: str = ""
    base64: bool | None = False


class _Text(_Camel, frozen=True):
    lang: str = "en"
    value: str = ""
    supporting_media: list[_Media] = []


class _Problem(_Camel, frozen=True):
    description: str = ""
    cwe_id: str = ""


class _Problems(_Camel, frozen=True):
    descriptions: list[_Problem] = []


class _Impact(_Camel, frozen=True):
    capec_id: str = ""
    descriptions: list[_Text] = []


class _Cvss(_Camel, frozen=True):
    base_score: float
    vector_string: str


class _Other(_Camel, frozen=True):
    type: str = ""
    content: dict[str, Any] = {}


class _Metric(_Camel, frozen=True):
    v40: _Cvss | None = msgspec.field(name="cvssV4_0", default=None)
    v31: _Cvss | None = msgspec.field(name="cvssV3_1", default=None)
    v30: _Cvss | None = msgspec.field(name="cvssV3_0", default=None)
    v2: _Cvss | None = msgspec.field(name="cvssV2_0", default=None)
    other: _Other | None = None


class _Version(_Camel, frozen=True):
    version: str = ""
    status: str = "affected"
    less_than: str = ""
    less_than_or_equal: str = ""


class _Product(_Camel, frozen=True):
    vendor: str = ""
    product: str = ""
    package_name: str = ""
    default_status: str = ""
    versions: list[_Version] = []
    platforms: list[str] = []


class _Reference(_Camel, frozen=True):
    url: str = ""


class _Provider(_Camel, frozen=True):
    short_name: str = ""


class Container(_Camel, frozen=True):
    """What one organisation says."""

    title: str = ""
    provider_metadata: _Provider = _Provider()
    descriptions: list[_Text] = []
    rejected_reasons: list[_Text] = []
    affected: list[_Product] = []
    problem_types: list[_Problems] = []
    impacts: list[_Impact] = []
    metrics: list[_Metric] = []
    solutions: list[_Text] = []
    workarounds: list[_Text] = []
    configurations: list[_Text] = []
    exploits: list[_Text] = []
    references: list[_Reference] = []
    tags: list[str] = []


class _Containers(_Camel, frozen=True):
    cna: Container
    adp: list[Container] = []


class _Metadata(_Camel, frozen=True):
    cve_id: str
    state: str = "PUBLISHED"
    date_published: str = ""


class CveRecord(_Camel, frozen=True):
    """One CVE record."""

    cve_metadata: _Metadata
    containers: _Containers
    data_version: str


class CveRecordReader(Reader):
    """Reads one record a file."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        data = read_bytes(file)
        if data.lstrip()[:1] == b"[" or b'"dataVersion"' not in data:
            if b'"fetchTime"' in data:  # delta.json and deltaLog.json of the CVE List's repository
                yield Drop("a list of changes, which holds no CVE record")
                return
            raise SourceError("no CVE record of format 5: no dataVersion")
        record = decode_json(data, CveRecord)
        if not record.data_version.startswith("5."):
            raise SourceError(f"a CVE record of format {record.data_version}; only 5.x is known")
        url = f"https://www.cve.org/CVERecord?id={record.cve_metadata.cve_id}"
        yield from records(self, file, partial(advisory, record), locator="/containers/cna", url=url)


def advisory(record: CveRecord) -> Advisory:
    """What CNA and ADP say of a CVE."""
    cna, adp = record.containers.cna, record.containers.adp
    rejected = record.cve_metadata.state.upper() == "REJECTED"
    products = cna.affected or [product for container in adp for product in container.affected]
    metrics = [metric for container in (cna, *adp) for metric in container.metrics]
    others = [metric.other for metric in metrics if metric.other]
    exploited = "x_known-exploited-vulnerability" in cna.tags or any(o.type.lower() == "kev" for o in others)
    return Advisory(
        key=record.cve_metadata.cve_id,
        kind="vulnerability",
        name=cna.title,
        texts=by_language(
            (
                (text.lang, _markdown(text))
                for text in (cna.rejected_reasons if rejected else cna.descriptions)
            ),
            clean=str,
        ),
        affected=[versions for product in products if (versions := _versions(product))],
        sections=[] if rejected else list(_sections(cna)),
        notes=list(_notes(cna, others, exploited=exploited)),
        score=best(_scores(cna, adp)),
        severity=next((word for other in others if (word := _word(other))), None),
        cwe=_weaknesses([cna]) or _weaknesses(adp),
        related=[impact.capec_id for impact in cna.impacts],
        references=[reference.url for container in (cna, *adp) for reference in container.references],
        platforms=unique(platform for product in products for platform in product.platforms),
        published=day(record.cve_metadata.date_published),
        exploited=exploited,
        status=Status.REJECTED if rejected else Status.ACTIVE,
    )


def _markdown(text: _Text) -> str:
    """Of the HTML beside a plain text, which lost its paragraphs and lists; unless it says less."""
    plain = prose.clean(text.value)
    for media in text.supporting_media:
        if media.type == "text/html" and not media.base64 and media.value.count("<") < _TAGS:
            formed = _from_html(media.value)
            if len(formed) >= _SHARE * len(_URL.sub("", plain)):
                return formed
    return plain


def _from_html(html: str) -> str:
    """Empty where it is nested too deeply to be a description."""
    body = LexborHTMLParser(html).body
    try:
        return prose.tidy_whitespace(join_blocks(extract_blocks(body))) if body else ""
    except RecursionError:
        return ""


def _scores(cna: Container, adp: list[Container]) -> Iterator[Score]:
    for rank, container in [(0, cna), *((1, other) for other in adp)]:
        for metric in container.metrics:
            given = (("4.0", metric.v40), ("3.1", metric.v31), ("3.0", metric.v30), ("2.0", metric.v2))
            for version, cvss in given:
                if cvss:
                    yield Score(cvss.base_score, cvss.vector_string, version, rank)


def _word(other: _Other) -> Severity | None:
    """A severity in a publisher's own words: `{"value": "Critical"}`, `{"text": "moderate"}`."""
    if other.type.lower() in ("ssvc", "kev"):
        return None
    found = (severity_word(value) for value in other.content.values() if isinstance(value, str))
    return next((word for word in found if word), None)


def _weaknesses(containers: list[Container]) -> list[str]:
    return cwes(
        problem.cwe_id or problem.description
        for container in containers
        for problems in container.problem_types
        for problem in problems.descriptions
    )


def _sections(cna: Container) -> Iterator[tuple[Section, str, str]]:
    impacts = [
        (text.lang, f"{impact.capec_id}: {_LABEL.sub('', text.value)}" if impact.capec_id else text.value)
        for impact in cna.impacts for text in impact.descriptions
    ]  # fmt: skip
    for lang, value in impacts:
        yield "impact", primary(lang), prose.clean(value)
    kinds: list[tuple[Section, list[_Text]]] = [
        ("configurations", cna.configurations), ("exploits", cna.exploits), ("solutions", cna.solutions),
        ("workarounds", cna.workarounds),
    ]  # fmt: skip
    for kind, texts in kinds:
        for lang, text in by_language(((text.lang, _markdown(text)) for text in texts), clean=str).items():
            yield kind, lang, text


def _notes(cna: Container, others: list[_Other], *, exploited: bool) -> Iterator[tuple[Note, str]]:
    for tag in ("disputed", "unsupported-when-assigned", "exclusively-hosted-service"):
        if tag in cna.tags:
            yield tag, ""
    if exploited:
        yield "exploited", ""
    for other in others:
        options = other.content.get("options")
        if other.type.lower() == "ssvc" and isinstance(options, list):
            pairs = [one for one in options if isinstance(one, dict)]
            strings = [{str(k): str(v) for k, v in one.items()} for one in pairs]
            yield "ssvc", ssvc_words(strings)


def _versions(product: _Product) -> Versions | None:
    """None for a product that isn't affected, or that has no name."""
    named = [part for part in (product.vendor, product.product) if part.strip().lower() not in _NOTHING]
    name = "/".join(named) or product.package_name
    hit = [version for version in product.versions if version.status == "affected"]
    default = product.default_status or ("unknown" if hit or not product.versions else "unaffected")
    if not name or (not hit and default == "unaffected"):
        return None
    if not hit and default == "affected":
        safe = [text for version in product.versions if (text := _span(version))]
        return Versions(name, safe or ["*"], excluding=bool(safe))
    return Versions(name, [text for version in hit if (text := _span(version))])


def _span(version: _Version) -> str:
    """Empty for Git commits, which tell a reader nothing, and for no version."""
    high = version.less_than or version.less_than_or_equal
    if _COMMIT.fullmatch(version.version) or _COMMIT.fullmatch(high):
        return ""
    if high and high != "*":
        return span(version.version, high, including=not version.less_than)
    if high:
        return span(version.version)
    return "" if version.version.strip().lower() in _NOTHING else version.version
