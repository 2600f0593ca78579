"""Read NVD's CVE API 2.0 and its yearly feeds: one model, an envelope with `vulnerabilities`.

Format: https://nvd.nist.gov/developers/vulnerabilities and its JSON schemas
(https://csrc.nist.gov/schema/nvd/api/2.0/). A feed has tens of thousands of items: the envelope is
decoded with its items left as bytes, and each item by itself, so that a broken one costs only itself
and no more than one is held decoded.

Of several CVSS scores one is kept (`cvss_score.choose_best_score`): NVD's before the CNA's, the CNA's before
CISA's, CISA's before any other's; of one publisher the newest version; v2 only without a newer one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from securetag.errors import SourceError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.fetching.unpack import gunzip
from securetag.extractors.readers.advisories.advisory import (
    Advisory,
    Note,
    Versions,
    format_range,
    get_day,
    get_primary_language,
    group_by_language,
    list_cwe_ids,
    make_records,
)
from securetag.extractors.readers.advisories.cvss_score import Score, choose_best_score
from securetag.extractors.readers.base import Drop, Item, Reader, decode_json, describe_error, read_bytes
from securetag.extractors.text import prose
from securetag.records import Status

NVD = "nvd@nist.gov"
#: CISA's Authorized Data Publisher, by its organization id.
CISA_ADP = "134c704f-9b21-4f2e-91b3-4a467353bcc0"
_OLDER_STATE = Drop("an older state of the same CVE")


class _Camel(msgspec.Struct, rename="camel", frozen=True):
    pass


class _Text(_Camel, frozen=True):
    lang: str
    value: str


class _CvssData(_Camel, frozen=True):
    base_score: float
    vector_string: str
    version: str = ""


class _Metric(_Camel, frozen=True):
    cvss_data: _CvssData
    source: str = ""


class _SsvcData(_Camel, frozen=True):
    options: list[dict[str, str]] = []


class _Ssvc(_Camel, frozen=True):
    ssvc_data: _SsvcData = _SsvcData()


class _Metrics(_Camel, frozen=True):
    v40: list[_Metric] = msgspec.field(name="cvssMetricV40", default=[])
    v31: list[_Metric] = msgspec.field(name="cvssMetricV31", default=[])
    v30: list[_Metric] = msgspec.field(name="cvssMetricV30", default=[])
    v2: list[_Metric] = msgspec.field(name="cvssMetricV2", default=[])
    ssvc: list[_Ssvc] = msgspec.field(name="ssvcV203", default=[])


class _Weakness(_Camel, frozen=True):
    description: list[_Text] = []


class _CpeMatch(_Camel, frozen=True):
    criteria: str
    vulnerable: bool = True
    version_start_including: str = ""
    version_start_excluding: str = ""
    version_end_including: str = ""
    version_end_excluding: str = ""


class _Node(_Camel, frozen=True):
    cpe_match: list[_CpeMatch] = []


class _Configuration(_Camel, frozen=True):
    nodes: list[_Node] = []


class _Reference(_Camel, frozen=True):
    url: str = ""


class _Tags(_Camel, frozen=True):
    tags: list[str] = []


class Cve(_Camel, frozen=True):
    """One CVE of NVD."""

    id: str
    descriptions: list[_Text] = []
    source_identifier: str = ""
    published: str = ""
    last_modified: str = ""
    vuln_status: str = ""
    cve_tags: list[_Tags] = []
    metrics: _Metrics = _Metrics()
    weaknesses: list[_Weakness] = []
    configurations: list[_Configuration] = []
    references: list[_Reference] = []
    evaluator_solution: str = ""
    evaluator_impact: str = ""
    cisa_exploit_add: str = ""
    cisa_action_due: str = ""


class _Item(msgspec.Struct, frozen=True):
    cve: Cve


class _Envelope(msgspec.Struct, frozen=True):
    vulnerabilities: list[msgspec.Raw]


class _State(_Camel, frozen=True):
    id: str
    last_modified: str = ""


class _StateItem(msgspec.Struct, frozen=True):
    cve: _State


def _read_unpacked(file: FetchedFile) -> bytes:
    """Return the bytes of a file, decompressed: feeds are published as gzip."""
    data = read_bytes(file)
    return gunzip(data) if data[:2] == b"\x1f\x8b" else data


_DECODER = msgspec.json.Decoder(_Item)
_STATE_DECODER = msgspec.json.Decoder(_StateItem)


def list_raw_items(data: bytes) -> list[msgspec.Raw]:
    """Return the items of a page or feed, undecoded. Raises SourceError for any other document."""
    return decode_json(data, _Envelope).vulnerabilities


def decode_cves(data: bytes) -> Iterator[tuple[str, Cve | SourceError]]:
    """Yield (JSON pointer, CVE or the error) for each item. Raises SourceError for another document."""
    for index, raw in enumerate(list_raw_items(data)):
        locator = f"/vulnerabilities/{index}/cve"
        try:
            yield locator, _DECODER.decode(raw).cve
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield locator, SourceError(f"not a CVE as NVD gives it: {error}")


class NvdReader(Reader):
    """Reads pages of the API and feeds, in any number of files that may overlap."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._newest: dict[str, str] = {}

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        """Find the newest state of each CVE, since several files may hold it."""
        if len(files) < 2:
            return
        for file in files:
            try:
                items = list_raw_items(_read_unpacked(file))
            except SourceError as error:
                yield Failure(str(file.path), "", describe_error(error))
                continue
            for raw in items:
                try:
                    state = _STATE_DECODER.decode(raw).cve
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    continue  # reported when it is read
                self._newest[state.id] = max(state.last_modified, self._newest.get(state.id, ""))

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        for locator, cve in decode_cves(_read_unpacked(file)):
            if isinstance(cve, SourceError):
                yield Failure(str(file.path), locator, describe_error(cve))
            elif cve.last_modified < self._newest.get(cve.id, ""):
                yield _OLDER_STATE
            else:
                url = f"https://nvd.nist.gov/vuln/detail/{cve.id}"
                yield from make_records(self, file, partial(make_advisory, cve), locator=locator, url=url)


def make_advisory(cve: Cve) -> Advisory:
    """Return NVD's statements on a CVE as an advisory."""
    tags = [tag for given in cve.cve_tags for tag in given.tags]
    sections = [("solutions", cve.evaluator_solution), ("impact", cve.evaluator_impact)]
    return Advisory(
        key=cve.id,
        kind="vulnerability",
        texts=group_by_language((text.lang, text.value) for text in cve.descriptions),
        affected=list_affected(cve.configurations),
        sections=[(name, "en", prose.clean(text)) for name, text in sections if text],  # type: ignore[misc]
        notes=list(_list_notes(cve, tags)),
        score=choose_best_score(_list_scores(cve)),
        cwe=list_cwe_ids(
            text.value
            for weakness in cve.weaknesses
            for text in weakness.description
            if get_primary_language(text.lang) == "en"
        ),
        references=[reference.url for reference in cve.references],
        published=get_day(cve.published),
        exploited=bool(cve.cisa_exploit_add),
        status=Status.REJECTED if cve.vuln_status.lower() == "rejected" else Status.ACTIVE,
    )


def _list_scores(cve: Cve) -> Iterator[Score]:
    ranks = {cve.source_identifier: 1, CISA_ADP: 2, NVD: 0}
    metrics = cve.metrics
    for version, version_metrics in (
        ("4.0", metrics.v40),
        ("3.1", metrics.v31),
        ("3.0", metrics.v30),
        ("2.0", metrics.v2),
    ):
        for metric in version_metrics:
            data = metric.cvss_data
            yield Score(data.base_score, data.vector_string, version, ranks.get(metric.source, 3))


def _list_notes(cve: Cve, tags: list[str]) -> Iterator[tuple[Note, str]]:
    for tag in ("disputed", "unsupported-when-assigned", "exclusively-hosted-service"):
        if tag in tags:
            yield tag, ""
    status = cve.vuln_status.lower()
    if status in ("received", "awaiting analysis", "undergoing analysis"):
        yield "unanalysed", ""
    elif status == "deferred":
        yield "deferred", ""
    if cve.cisa_exploit_add:
        yield "exploited", ""
    if due := get_day(cve.cisa_action_due):
        yield "due", due
    for ssvc in cve.metrics.ssvc:
        yield "ssvc", format_ssvc(ssvc.ssvc_data.options)


def format_ssvc(options: list[dict[str, str]]) -> str:
    """Return CISA's decision points as `exploitation poc, automatable no, technical impact total`."""
    pairs = [
        (re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name), value)
        for option in options
        for name, value in option.items()
    ]
    return ", ".join(f"{name.lower()} {value.lower()}" for name, value in pairs)


def list_affected(configurations: list[_Configuration]) -> list[Versions]:
    """Return the vulnerable products of CPE match criteria as `vendor/product` with their version ranges."""
    return [
        versions
        for configuration in configurations
        for node in configuration.nodes
        for match in node.cpe_match
        if match.vulnerable and (versions := _make_versions(match))
    ]


def _make_versions(match: _CpeMatch) -> Versions | None:
    """Return the product and versions of a CPE name; None for a malformed one.

    A CPE name has 13 fields separated by colons, with `\\` before a literal one:
    https://csrc.nist.gov/pubs/ir/7695/final.
    """
    fields = [re.sub(r"\\(.)", r"\1", field) for field in re.split(r"(?<!\\):", match.criteria)]
    if len(fields) < 6 or fields[0] != "cpe":
        return None
    vendor, product, version = fields[3:6]
    low = match.version_start_including or match.version_start_excluding
    high = match.version_end_including or match.version_end_excluding
    if low or high:
        text = format_range(
            low,
            high,
            low_excluded=not match.version_start_including,
            high_included=bool(match.version_end_including),
        )
    else:
        text = "" if version == "-" else version
    return Versions(f"{vendor}/{product}", [text] if text else [])
