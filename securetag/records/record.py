"""What an extractor makes of an upstream item: a Record and its Facts."""

from __future__ import annotations

import msgspec

from securetag.records.canonical import content_id, normalise_text
from securetag.records.vocabulary import Severity, Status, TextLang

#: Kind of a Record that holds a whole file of a package before and after a release that corrects it: what of
#: the difference is the correction isn't known.
PACKAGE_FIX = "package_fix"


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a Record beside its prose. Unset fields stay out of JSON and of the id."""

    #: Kind of item inside its dataset: `weakness`, `technique`, `control`, `section`, `advisory`, …
    kind: str | None = None
    severity: Severity | None = None
    cvss: float | None = None  # base score, 0.0 to 10.0, of the best source
    #: Keys of Records of the same or another source.
    parents: list[str] = []
    related: list[str] = []
    aliases: list[str] = []
    cwe: list[str] = []
    #: Prose, one entry each.
    mitigations: list[str] = []
    detections: list[str] = []
    assessments: list[str] = []  # what shows that a control is in place, and how that is examined and tested
    consequences: list[str] = []
    examples: list[str] = []
    observed: list[str] = []  # who used a technique, which CVE has a weakness; a sentence each
    taxonomies: list[str] = []  # `WASC 19: SQL Injection`
    platforms: list[str] = []  # platforms and languages that the item applies to; short words
    tactics: list[str] = []
    #: Headings from the document's title down to this section.
    section: list[str] = []
    #: Upstream's own word on use as a mapping target (CWE: Allowed, Discouraged, Prohibited).
    mapping_usage: str | None = None
    #: Upstream's own word on how likely an attack is (CWE, CAPEC): High, Medium, Low.
    likelihood: str | None = None
    #: Day on which upstream first published the item, `YYYY-MM-DD`: splits by time lean on it.
    published: str | None = None
    cvss_vector: str | None = None
    cvss_metrics: list[
        str
    ] = []  # `AV:N: the attack comes over a network`, for each base metric of the vector
    exploited: bool = False  # CISA KEV lists it
    #: Affected packages or products as upstream names them: `PyPI/django`, `crates.io/time`.
    packages: list[str] = []
    #: Levels, profiles or baselines that hold the item: `L1`, `MODERATE`.
    levels: list[str] = []
    references: list[str] = []  # URLs that upstream refers to
    #: Programming language of `vulnerable` and `fixed`, lower case.
    language: str | None = None
    #: A fix as a pair: the code before and after.
    vulnerable: str | None = None
    fixed: str | None = None
    #: An instruction and its answer, where upstream is instruction data.
    instruction: str | None = None
    response: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One normalized item of a source, with where it came from and under which license.

    Build it with `Record.of`, which normalizes the text and computes `id`.
    """

    id: str
    #: Name of the catalog row, for example `mitre-cwe`.
    source: str
    publisher: str
    #: The publisher's own key: `CWE-79`, `AC-2(1)`, `T1059.001`.
    key: str
    title: str
    #: Clean Markdown.
    text: str
    facts: Facts
    lang: TextLang
    url: str
    edition: str
    #: A valid SPDX expression; `LicenseRef-…` where SPDX has no name.
    licence: str
    #: Of the file that it was read from, as fetched.
    file_sha256: str
    #: JSON pointer, XPath, heading path or page inside that file.
    locator: str
    status: Status = Status.ACTIVE

    @classmethod
    def of(
        cls,
        *,
        source: str,
        publisher: str,
        key: str,
        title: str,
        text: str,
        lang: TextLang,
        url: str,
        edition: str,
        licence: str,
        file_sha256: str,
        locator: str,
        facts: Facts | None = None,
        status: Status = Status.ACTIVE,
    ) -> Record:
        """A Record with normalized title and text, its id computed from content alone."""
        facts = facts or Facts()
        title, text = normalise_text(title).strip(), normalise_text(text).strip()
        identity = content_id([source, key, lang, title, text, facts])
        return cls(
            id=identity,
            source=source,
            publisher=publisher,
            key=key,
            title=title,
            text=text,
            facts=facts,
            lang=lang,
            url=url,
            edition=edition,
            licence=licence,
            file_sha256=file_sha256,
            locator=locator,
            status=status,
        )
