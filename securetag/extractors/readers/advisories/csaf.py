"""Read CSAF 2.0 security advisories and VEX documents: one Record a vulnerability.

Format: https://docs.oasis-open.org/csaf/csaf/v2.0/csaf-v2.0.html. Product ids are resolved through the
product tree; legal notes and recommendations that every advisory repeats are left out. The key is the
advisory's id and the CVE's: `ICSA-24-004-01/CVE-2023-38545`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.advisories.advisory import (
    Advisory,
    Section,
    Versions,
    drop_repeated,
    get_day,
    get_primary_language,
    group_by_language,
    list_cwe_ids,
    make_records,
)
from securetag.extractors.readers.advisories.cvss_score import Score, choose_best_score, parse_severity
from securetag.extractors.readers.base import Drop, Item, Reader, decode_json, read_bytes
from securetag.extractors.text import prose
from securetag.records import Status

_REMEDIATION_SECTIONS: dict[str, Section] = {
    "vendor_fix": "solutions",
    "mitigation": "workarounds",
    "workaround": "workarounds",
    "optional_patch": "solutions",
    "none_available": "solutions",
    "no_fix_planned": "solutions",
    "fix_planned": "solutions",
}
_AFFECTED_STATUSES = ("known_affected", "first_affected", "last_affected")
#: Categories of notes that hold prose; others, such as `SSVC`, hold codes.
_PROSE_CATEGORIES = {"summary", "description", "details", "general", "faq", "other"}
_STATUS_BY_CATEGORY = {"csaf_withdrawn": Status.WITHDRAWN, "csaf_superseded": Status.DEPRECATED}


class _Note(msgspec.Struct, frozen=True):
    category: str = ""
    text: str = ""
    title: str = ""


class _Reference(msgspec.Struct, frozen=True):
    url: str = ""
    category: str = "external"


class _Tracking(msgspec.Struct, frozen=True):
    id: str
    initial_release_date: str = ""


class _Document(msgspec.Struct, frozen=True):
    title: str
    tracking: _Tracking
    category: str = ""
    lang: str = "en"
    notes: list[_Note] = []
    references: list[_Reference] = []


class _Product(msgspec.Struct, frozen=True):
    product_id: str
    name: str


class _Branch(msgspec.Struct, frozen=True):
    branches: list[_Branch] = []
    product: _Product | None = None


class _Relationship(msgspec.Struct, frozen=True):
    full_product_name: _Product


class _Tree(msgspec.Struct, frozen=True):
    branches: list[_Branch] = []
    full_product_names: list[_Product] = []
    relationships: list[_Relationship] = []


class _Cwe(msgspec.Struct, frozen=True):
    id: str = ""


class _Cvss(msgspec.Struct, frozen=True, rename="camel"):
    base_score: float
    vector_string: str
    version: str = ""


class _Score(msgspec.Struct, frozen=True):
    cvss_v4: _Cvss | None = None
    cvss_v3: _Cvss | None = None
    cvss_v2: _Cvss | None = None


class _Metric(msgspec.Struct, frozen=True):
    """One entry of `metrics`, which replaces `scores` in CSAF 2.1."""

    content: _Score = _Score()


class _Remediation(msgspec.Struct, frozen=True):
    category: str = ""
    details: str = ""
    product_ids: list[str] = []
    url: str = ""


class _Threat(msgspec.Struct, frozen=True):
    category: str = ""
    details: str = ""


class _Id(msgspec.Struct, frozen=True):
    text: str = ""


class Vulnerability(msgspec.Struct, frozen=True):
    """One vulnerability of an advisory."""

    cve: str = ""
    ids: list[_Id] = []
    title: str = ""
    cwe: _Cwe | None = None
    cwes: list[_Cwe] = []
    notes: list[_Note] = []
    product_status: dict[str, list[str]] = {}
    remediations: list[_Remediation] = []
    scores: list[_Score] = []
    metrics: list[_Metric] = []
    threats: list[_Threat] = []
    references: list[_Reference] = []


class Csaf(msgspec.Struct, frozen=True):
    """One CSAF document."""

    document: _Document
    product_tree: _Tree = _Tree()
    vulnerabilities: list[Vulnerability] = []


class _Outer(msgspec.Struct, frozen=True):
    document: msgspec.Raw = msgspec.Raw()
    feed: msgspec.Raw = msgspec.Raw()


class CsafReader(Reader):
    """Reads one advisory a file; a ROLIE feed, which only lists advisories, is dropped."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        data = read_bytes(file)
        outer = decode_json(data, _Outer)
        if not bytes(outer.document):
            if not bytes(outer.feed):
                raise SourceError("no CSAF advisory: it has no `document`")
            yield Drop("a feed, which lists advisories and holds none")
            return
        csaf = decode_json(data, Csaf)
        url = _get_page_url(csaf.document)
        names = name_products(csaf.product_tree)
        for number, vulnerability in enumerate(csaf.vulnerabilities):
            build_advisory = partial(make_advisory, csaf.document, names, vulnerability, number)
            yield from make_records(self, file, build_advisory, locator=f"/vulnerabilities/{number}", url=url)
        if not csaf.vulnerabilities:
            build_notice = partial(_make_notice, csaf.document)
            yield from make_records(self, file, build_notice, locator="/document", url=url)


def _get_page_url(document: _Document) -> str:
    """Return the page of the advisory for people; the address of its file where it names no page."""
    self_urls = [
        ref.url for ref in document.references if ref.category == "self" and ref.url.startswith("https:")
    ]
    return next((url for url in self_urls if not url.endswith(".json")), self_urls[0] if self_urls else "")


def make_advisory(
    document: _Document, names: dict[str, str], vulnerability: Vulnerability, number: int = 0
) -> Advisory:
    """Return one vulnerability with the parts of its document; `names` maps product ids to names."""
    vulnerability_id = vulnerability.cve or next(
        (given.text for given in vulnerability.ids if given.text), str(number + 1)
    )
    affected_ids = drop_repeated(
        product for kind in _AFFECTED_STATUSES for product in vulnerability.product_status.get(kind, [])
    )
    return Advisory(
        key=f"{document.tracking.id}/{vulnerability_id}",
        name=": ".join(drop_repeated([document.title, vulnerability.title])),
        texts=group_by_language([(document.lang, "\n\n".join(_list_descriptions(document, vulnerability)))]),
        affected=[Versions(prose.clean_line(names.get(product, product))) for product in affected_ids],
        sections=list(_list_sections(document, vulnerability, names)),
        score=choose_best_score(_list_scores(vulnerability)),
        severity=next((word for t in vulnerability.threats if (word := parse_severity(t.details))), None),
        cwe=list_cwe_ids(cwe.id for cwe in (vulnerability.cwe, *vulnerability.cwes) if cwe),
        aliases=[vulnerability.cve],
        related=[document.tracking.id],
        references=[ref.url for ref in (*vulnerability.references, *document.references)],
        published=get_day(document.tracking.initial_release_date),
        status=_STATUS_BY_CATEGORY.get(document.category, Status.ACTIVE),
    )


def _make_notice(document: _Document) -> Advisory:
    """Return an advisory from the notes of a document without vulnerabilities."""
    texts = [
        f"## {note.title}\n\n{note.text}" if note.title else note.text
        for note in document.notes
        if note.category != "legal_disclaimer"
    ]
    return Advisory(
        key=document.tracking.id,
        name=document.title,
        texts=group_by_language([(document.lang, "\n\n".join(texts))]),
        references=[ref.url for ref in document.references],
        published=get_day(document.tracking.initial_release_date),
        status=_STATUS_BY_CATEGORY.get(document.category, Status.ACTIVE),
    )


def _list_descriptions(document: _Document, vulnerability: Vulnerability) -> Iterator[str]:
    """Yield the notes of the vulnerability, or the document's summary for one without notes."""
    texts = [
        note.text
        for note in vulnerability.notes
        if note.category in _PROSE_CATEGORIES and " " in note.text.strip()
    ]
    yield from texts or _list_summaries(document)


def _list_summaries(document: _Document) -> list[str]:
    return [note.text for note in document.notes if note.category == "summary"]


def _list_sections(
    document: _Document, vulnerability: Vulnerability, names: dict[str, str]
) -> Iterator[tuple[Section, str, str]]:
    lang = get_primary_language(document.lang)
    for text in _list_summaries(document):
        yield "risk", lang, prose.clean(text)
    for threat in vulnerability.threats:
        if threat.category == "exploit_status":
            yield "exploits", lang, prose.clean(threat.details)
    all_affected = set(vulnerability.product_status.get("known_affected", []))
    for fix in vulnerability.remediations:
        text = prose.clean(fix.details)
        fixed_names = [names.get(product, product) for product in fix.product_ids]
        if text and fixed_names and set(fix.product_ids) < all_affected:
            shown_names = [prose.clean_line(name) for name in fixed_names[:3]] + ["…"] * (
                len(fixed_names) > 3
            )
            text = f"{', '.join(shown_names)}: {text}"
        if section := _REMEDIATION_SECTIONS.get(fix.category):
            yield section, lang, text
    unaffected_names = [
        names.get(product, product) for product in vulnerability.product_status.get("known_not_affected", [])
    ]
    yield (
        "not_affected",
        lang,
        "\n".join(f"- {prose.clean_line(name)}" for name in drop_repeated(unaffected_names)[:12]),
    )


def _list_scores(vulnerability: Vulnerability) -> Iterator[Score]:
    for score in (*vulnerability.scores, *(metric.content for metric in vulnerability.metrics)):
        for cvss, version in ((score.cvss_v4, "4.0"), (score.cvss_v3, "3.1"), (score.cvss_v2, "2.0")):
            if cvss:
                yield Score(cvss.base_score, cvss.vector_string, cvss.version or version)


def name_products(tree: _Tree) -> dict[str, str]:
    """Return product id → full name for branches, the flat list, and combinations."""
    products: list[_Product] = [*tree.full_product_names, *(r.full_product_name for r in tree.relationships)]
    branch_lists: list[Iterable[_Branch]] = [tree.branches]
    while branch_lists:
        for branch in branch_lists.pop():
            if branch.product:
                products.append(branch.product)
            if branch.branches:
                branch_lists.append(branch.branches)
    return {product.product_id: product.name for product in products}
