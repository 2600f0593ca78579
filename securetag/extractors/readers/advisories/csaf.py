"""CSAF 2.0 security advisories and VEX documents → one Record a vulnerability.

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
    by_language,
    cwes,
    day,
    primary,
    records,
    unique,
)
from securetag.extractors.readers.advisories.cvss_score import Score, best, severity_word
from securetag.extractors.readers.base import Drop, Item, Reader, decode_json, read_bytes
from securetag.extractors.text import prose
from securetag.records import Status

_FIXES: dict[str, Section] = {
    "vendor_fix": "solutions", "mitigation": "workarounds", "workaround": "workarounds",
    "optional_patch": "solutions", "none_available": "solutions", "no_fix_planned": "solutions",
    "fix_planned": "solutions",
}  # fmt: skip
_AFFECTED = ("known_affected", "first_affected", "last_affected")
#: Notes of a vulnerability that describe it; `SSVC` and the like are codes.
_PROSE = {"summary", "description", "details", "general", "faq", "other"}
_STATUS = {"csaf_withdrawn": Status.WITHDRAWN, "csaf_superseded": Status.DEPRECATED}


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
    """2.1 has `metrics` with a `content` where 2.0 has `scores`."""

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
    """One advisory."""

    document: _Document
    product_tree: _Tree = _Tree()
    vulnerabilities: list[Vulnerability] = []


class _Outer(msgspec.Struct, frozen=True):
    document: msgspec.Raw = msgspec.Raw()
    feed: msgspec.Raw = msgspec.Raw()


class CsafReader(Reader):
    """Reads one advisory a file; a ROLIE feed, which lists advisories, is dropped."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        data = read_bytes(file)
        outer = decode_json(data, _Outer)
        if not bytes(outer.document):
            if not bytes(outer.feed):
                raise SourceError("no CSAF advisory: it has no `document`")
            yield Drop("a feed, which lists advisories and holds none")
            return
        found = decode_json(data, Csaf)
        url = _page(found.document)
        names = products(found.product_tree)
        for number, vulnerability in enumerate(found.vulnerabilities):
            build = partial(advisory, found.document, names, vulnerability, number)
            yield from records(self, file, build, locator=f"/vulnerabilities/{number}", url=url)
        if not found.vulnerabilities:
            notice = partial(_notice, found.document)
            yield from records(self, file, notice, locator="/document", url=url)


def _page(document: _Document) -> str:
    """The advisory's own page for people; its file where it names none."""
    own = [ref.url for ref in document.references if ref.category == "self" and ref.url.startswith("https:")]
    return next((url for url in own if not url.endswith(".json")), own[0] if own else "")


def advisory(
    document: _Document, names: dict[str, str], vulnerability: Vulnerability, number: int = 0
) -> Advisory:
    """One vulnerability with what the advisory around it says; `names` are the products' by id."""
    own = vulnerability.cve or next(
        (given.text for given in vulnerability.ids if given.text), str(number + 1)
    )
    hit = unique(product for kind in _AFFECTED for product in vulnerability.product_status.get(kind, []))
    return Advisory(
        key=f"{document.tracking.id}/{own}",
        name=": ".join(unique([document.title, vulnerability.title])),
        texts=by_language([(document.lang, "\n\n".join(_description(document, vulnerability)))]),
        affected=[Versions(prose.clean_line(names.get(product, product))) for product in hit],
        sections=list(_sections(document, vulnerability, names)),
        score=best(_scores(vulnerability)),
        severity=next((word for t in vulnerability.threats if (word := severity_word(t.details))), None),
        cwe=cwes(cwe.id for cwe in (vulnerability.cwe, *vulnerability.cwes) if cwe),
        aliases=[vulnerability.cve],
        related=[document.tracking.id],
        references=[ref.url for ref in (*vulnerability.references, *document.references)],
        published=day(document.tracking.initial_release_date),
        status=_STATUS.get(document.category, Status.ACTIVE),
    )


def _notice(document: _Document) -> Advisory:
    """An advisory without vulnerabilities: what its notes say."""
    texts = [f"## {note.title}\n\n{note.text}" if note.title else note.text
             for note in document.notes if note.category != "legal_disclaimer"]  # fmt: skip
    return Advisory(
        key=document.tracking.id,
        name=document.title,
        texts=by_language([(document.lang, "\n\n".join(texts))]),
        references=[ref.url for ref in document.references],
        published=day(document.tracking.initial_release_date),
        status=_STATUS.get(document.category, Status.ACTIVE),
    )


def _description(document: _Document, vulnerability: Vulnerability) -> Iterator[str]:
    """The vulnerability's own notes; where it has none, the advisory's summary."""
    own = [note.text for note in vulnerability.notes if note.category in _PROSE and " " in note.text.strip()]
    yield from own or _summary(document)


def _summary(document: _Document) -> list[str]:
    return [note.text for note in document.notes if note.category == "summary"]


def _sections(
    document: _Document, vulnerability: Vulnerability, names: dict[str, str]
) -> Iterator[tuple[Section, str, str]]:
    lang = primary(document.lang)
    for text in _summary(document):
        yield "risk", lang, prose.clean(text)
    for threat in vulnerability.threats:
        if threat.category == "exploit_status":
            yield "exploits", lang, prose.clean(threat.details)
    every = set(vulnerability.product_status.get("known_affected", []))
    for fix in vulnerability.remediations:
        text = prose.clean(fix.details)
        some = [names.get(product, product) for product in fix.product_ids]
        if text and some and set(fix.product_ids) < every:
            few = [prose.clean_line(name) for name in some[:3]] + ["…"] * (len(some) > 3)
            text = f"{', '.join(few)}: {text}"
        if section := _FIXES.get(fix.category):
            yield section, lang, text
    safe = [
        names.get(product, product) for product in vulnerability.product_status.get("known_not_affected", [])
    ]
    yield "not_affected", lang, "\n".join(f"- {prose.clean_line(name)}" for name in unique(safe)[:12])


def _scores(vulnerability: Vulnerability) -> Iterator[Score]:
    for given in (*vulnerability.scores, *(metric.content for metric in vulnerability.metrics)):
        for cvss, version in ((given.cvss_v4, "4.0"), (given.cvss_v3, "3.1"), (given.cvss_v2, "2.0")):
            if cvss:
                yield Score(cvss.base_score, cvss.vector_string, cvss.version or version)


def products(tree: _Tree) -> dict[str, str]:
    """Product id → full name: of branches, of the flat list, and of combinations."""
    found: list[_Product] = [*tree.full_product_names, *(r.full_product_name for r in tree.relationships)]
    todo: list[Iterable[_Branch]] = [tree.branches]
    while todo:
        for branch in todo.pop():
            if branch.product:
                found.append(branch.product)
            if branch.branches:
                todo.append(branch.branches)
    return {product.product_id: product.name for product in found}
