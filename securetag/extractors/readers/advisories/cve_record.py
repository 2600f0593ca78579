"""Read CVE records of the CVE List, format 5.x: the CNA's container and those of others (ADP, mostly CISA).

Format: https://github.com/CVEProject/cve-schema (5.0 to 5.2). The CNA's word counts first; scores and
weaknesses that it leaves out are taken from the ADP containers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.advisories.advisory import (
    Advisory,
    Note,
    Section,
    Versions,
    drop_repeated,
    get_day,
    get_primary_language,
    group_by_language,
    list_cwe_ids,
    make_records,
)
from securetag.extractors.readers.advisories.affected_ranges import VersionEntry, evaluate_product
from securetag.extractors.readers.advisories.cvss_score import Score, choose_best_score, parse_severity
from securetag.extractors.readers.advisories.nvd import format_ssvc
from securetag.extractors.readers.base import Drop, Item, Reader, decode_json, read_bytes
from securetag.extractors.text import prose
from securetag.extractors.text.html_page import convert_fragment
from securetag.records import JsonObject, Severity, Status

#: Maximum tags of a description in HTML, since each may be a level of nesting.
_MAX_TAGS = 2_000
#: Minimum length of the HTML over the plain text's without URLs; a shorter one was cut or is empty.
_MIN_HTML_SHARE = 0.8
_URL = re.compile(r"https?://\S+")
_NO_VALUE = {"", "n/a", "na", "unknown", "none", "-"}
_ID_LABEL = re.compile(r"CWE-\d+:?\s*|CAPEC-\d+:?\s*")


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
    content: JsonObject = {}


class _Metric(_Camel, frozen=True):
    v40: _Cvss | None = msgspec.field(name="cvssV4_0", default=None)
    v31: _Cvss | None = msgspec.field(name="cvssV3_1", default=None)
    v30: _Cvss | None = msgspec.field(name="cvssV3_0", default=None)
    v2: _Cvss | None = msgspec.field(name="cvssV2_0", default=None)
    other: _Other | None = None


class _Change(_Camel, frozen=True):
    at: str = ""
    status: str = ""


class _Version(_Camel, frozen=True):
    version: str = ""
    status: str = "affected"
    less_than: str = ""
    less_than_or_equal: str = ""
    version_type: str = ""
    changes: list[_Change] = []


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
    """The statements of one organization."""

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
        yield from make_records(
            self, file, partial(make_advisory, record), locator="/containers/cna", url=url
        )
        containers = (record.containers.cna, *record.containers.adp)
        others = [metric.other for container in containers for metric in container.metrics if metric.other]
        if any(other.type.lower() == "ssvc" and not _list_ssvc_options(other) for other in others):
            yield Drop("an SSVC assessment that says nothing", "/containers")


def make_advisory(record: CveRecord) -> Advisory:
    """Return the statements of CNA and ADP as an advisory."""
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
        texts=group_by_language(
            (
                (text.lang, _choose_markdown(text))
                for text in (cna.rejected_reasons if rejected else cna.descriptions)
            ),
            clean=str,
        ),
        affected=[versions for product in products if (versions := _make_versions(product))],
        sections=[] if rejected else list(_list_sections(cna)),
        notes=list(_list_notes(cna, others, exploited=exploited)),
        score=choose_best_score(_list_scores(cna, adp)),
        severity=next((word for other in others if (word := _find_severity(other))), None),
        cwe=_list_weaknesses([cna]) or _list_weaknesses(adp),
        related=[impact.capec_id for impact in cna.impacts],
        references=[reference.url for container in (cna, *adp) for reference in container.references],
        platforms=drop_repeated(platform for product in products for platform in product.platforms),
        published=get_day(record.cve_metadata.date_published),
        exploited=exploited,
        status=Status.REJECTED if rejected else Status.ACTIVE,
    )


def _choose_markdown(text: _Text) -> str:
    """Return the HTML form of a text as Markdown, or its plain form where the HTML says less.

    The plain form has lost its paragraphs and lists.
    """
    plain = prose.clean(text.value)
    for media in text.supporting_media:
        if media.type == "text/html" and not media.base64 and media.value.count("<") < _MAX_TAGS:
            try:
                converted = prose.tidy_whitespace(convert_fragment(media.value))
            except SourceError:
                continue
            if len(converted) >= _MIN_HTML_SHARE * len(_URL.sub("", plain)):
                return converted
    return plain


def _list_scores(cna: Container, adp: list[Container]) -> Iterator[Score]:
    for rank, container in [(0, cna), *((1, other) for other in adp)]:
        for metric in container.metrics:
            given = (("4.0", metric.v40), ("3.1", metric.v31), ("3.0", metric.v30), ("2.0", metric.v2))
            for version, cvss in given:
                if cvss:
                    yield Score(cvss.base_score, cvss.vector_string, version, rank)


def _find_severity(other: _Other) -> Severity | None:
    """Return the severity that a publisher gives in words, as in `{"value": "Critical"}`."""
    if other.type.lower() in ("ssvc", "kev"):
        return None
    severities = (parse_severity(value) for value in other.content.values() if isinstance(value, str))
    return next((word for word in severities if word), None)


def _list_weaknesses(containers: list[Container]) -> list[str]:
    return list_cwe_ids(
        problem.cwe_id or problem.description
        for container in containers
        for problems in container.problem_types
        for problem in problems.descriptions
    )


def _list_sections(cna: Container) -> Iterator[tuple[Section, str, str]]:
    impacts = [
        (text.lang, f"{impact.capec_id}: {_ID_LABEL.sub('', text.value)}" if impact.capec_id else text.value)
        for impact in cna.impacts
        for text in impact.descriptions
    ]
    for lang, value in impacts:
        yield "impact", get_primary_language(lang), prose.clean(value)
    kinds: list[tuple[Section, list[_Text]]] = [
        ("configurations", cna.configurations),
        ("exploits", cna.exploits),
        ("solutions", cna.solutions),
        ("workarounds", cna.workarounds),
    ]
    for kind, texts in kinds:
        for lang, text in group_by_language(
            ((text.lang, _choose_markdown(text)) for text in texts), clean=str
        ).items():
            yield kind, lang, text


def _list_notes(cna: Container, others: list[_Other], *, exploited: bool) -> Iterator[tuple[Note, str]]:
    for tag in ("disputed", "unsupported-when-assigned", "exclusively-hosted-service"):
        if tag in cna.tags:
            yield tag, ""
    if exploited:
        yield "exploited", ""
    for other in others:
        if other.type.lower() == "ssvc" and (options := _list_ssvc_options(other)):
            yield "ssvc", format_ssvc(options)


def _list_ssvc_options(other: _Other) -> list[dict[str, str]]:
    """Return the decisions of an SSVC assessment: `{"Exploitation": "poc"}`."""
    options = other.content.get("options")
    pairs = [option for option in options if isinstance(option, dict)] if isinstance(options, list) else []
    return [{str(k): str(v) for k, v in option.items()} for option in pairs if option]


def _make_versions(product: _Product) -> Versions | None:
    """Return the affected versions; None for a product that isn't affected or has no name."""
    named = [part for part in (product.vendor, product.product) if part.strip().lower() not in _NO_VALUE]
    name = "/".join(named) or product.package_name
    if not name:
        return None
    entries = [
        VersionEntry(
            version=version.version,
            status=version.status,
            less_than=version.less_than,
            less_than_or_equal=version.less_than_or_equal,
            version_type=version.version_type,
            changes=[(change.at, change.status) for change in version.changes],
        )
        for version in product.versions
    ]
    return evaluate_product(name, product.default_status or "unknown", entries)
