"""What all readers of vulnerabilities have in common: one `Advisory`, and the Records that it becomes.

A publication gives some of: prose in one or more languages, affected versions, scores, weaknesses,
fixes. Each language becomes a Record of its own, and nothing of another language enters its text:
sections that are made here exist in English and Spanish, other languages keep their prose alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.advisories.cvss_score import Score
from securetag.extractors.readers.base import Item, Reader, reason_of
from securetag.extractors.text import prose
from securetag.extractors.text.language import detect_language
from securetag.records import Facts, Severity, Status, TextLang

#: Products that a text lists, and ranges of each; the rest is counted. Linux has hundreds.
MOST = 12
#: Characters below which a publisher's language tag is believed. Of one-line descriptions, which are
#: half product names, 8 in 400 were taken for Catalan, Portuguese or French; of these texts none.
TELLING = 250
#: Characters of one text; the longest of 2,700 vulnerabilities has 8,000.
LONGEST = 1_000_000

Section = Literal[
    "affected", "not_affected", "functions", "impact", "configurations", "exploits", "solutions",
    "workarounds", "risk", "action",
]  # fmt: skip
Note = Literal[
    "disputed", "unsupported-when-assigned", "exclusively-hosted-service", "unanalysed", "deferred",
    "exploited", "ransomware", "ssvc", "due",
]  # fmt: skip
_HEADINGS: dict[str, dict[Section, str]] = {
    "en": {
        "affected": "Affected versions", "not_affected": "Not affected", "functions": "Affected functions",
        "impact": "Impact", "configurations": "Required configuration", "exploits": "Exploitation",
        "solutions": "Solution", "workarounds": "Mitigation", "risk": "Risk", "action": "Required action",
    },
    "es": {
        "affected": "Versiones afectadas", "not_affected": "No afectados", "functions": "Funciones afectadas",
        "impact": "Impacto", "configurations": "Configuración necesaria", "exploits": "Explotación",
        "solutions": "Solución", "workarounds": "Mitigación", "risk": "Riesgo",
        "action": "Acción exigida",
    },
}  # fmt: skip
_NOTES: dict[str, dict[Note, str]] = {
    "en": {
        "disputed": "This vulnerability is disputed.",
        "unsupported-when-assigned": "The product was no longer supported when the CVE was assigned.",
        "exclusively-hosted-service": "The product exists as a hosted service only.",
        "unanalysed": "NVD has not finished its analysis of this CVE.",
        "deferred": "NVD does not plan to analyse this CVE.",
        "exploited": "CISA lists this vulnerability as known to be exploited.",
        "ransomware": "It is known to be used in ransomware campaigns.",
        "ssvc": "CISA's SSVC assessment: {}.",
        "due": "US federal agencies had to act by {}.",
    },
    "es": {
        "disputed": "Esta vulnerabilidad está en disputa.",
        "unsupported-when-assigned": "El producto ya no tenía soporte cuando se asignó el CVE.",
        "exclusively-hosted-service": "El producto existe solo como servicio alojado.",
        "unanalysed": "NVD no ha terminado el análisis de este CVE.",
        "deferred": "NVD no prevé analizar este CVE.",
        "exploited": "CISA incluye esta vulnerabilidad entre las explotadas conocidas.",
        "ransomware": "Se sabe que se usa en campañas de ransomware.",
        "due": "Las agencias federales de EE. UU. debían actuar antes del {}.",
    },
}
_PHRASES = {
    "en": {"all": "all versions", "except": "all versions except {}", "more": "and {} more"},
    "es": {"all": "todas las versiones", "except": "todas las versiones salvo {}", "more": "y {} más"},
}
_CWE = re.compile(r"\bCWE-(\d{1,5})\b", re.I)
_DAY = re.compile(r"(?!0001)\d{4}-\d\d-\d\d")


class Versions(msgspec.Struct, frozen=True):
    """A package or product and which versions of it are affected."""

    name: str
    #: `< 2.1`, `≥ 3.0, < 3.2`, `5.6.0`.
    ranges: list[str] = []
    #: True = all versions but `ranges` are affected.
    excluding: bool = False


class Advisory(msgspec.Struct, frozen=True, kw_only=True):
    """One vulnerability as one publication describes it."""

    key: str
    #: Upstream's title; empty where it gives none.
    name: str = ""
    kind: Literal["vulnerability", "advisory"] = "advisory"
    #: Language → clean Markdown.
    texts: dict[TextLang, str]
    affected: list[Versions] = []
    #: (section, language, clean Markdown) in upstream's order.
    sections: list[tuple[Section, TextLang, str]] = []
    #: (note, its argument).
    notes: list[tuple[Note, str]] = []
    score: Score | None = None
    #: Upstream's own word, for where there is no score.
    severity: Severity | None = None
    cwe: list[str] = []
    aliases: list[str] = []
    related: list[str] = []
    references: list[str] = []
    platforms: list[str] = []
    published: str | None = None
    exploited: bool = False
    status: Status = Status.ACTIVE


def records(
    reader: Reader, file: FetchedFile, build: Callable[[], Advisory], *, locator: str, url: str
) -> Iterator[Item]:
    """One Record a language of what `build` gives; a Drop where there is no text at all, a Failure where
    it can't be built, so that one item of a file costs no other."""
    try:
        advisory = build()
    except (SourceError, RecursionError) as error:
        yield Failure(str(file.path), locator, reason_of(error))
        return
    for lang, text in (advisory.texts or {reader.source.lang: ""}).items():
        yield reader.record(
            file, key=advisory.key, title=title_of(advisory, lang), text=_text(advisory, lang, text),
            locator=locator, url=url, facts=_facts(advisory, lang), status=advisory.status, lang=lang,
            certain=True,
        )  # fmt: skip


def title_of(advisory: Advisory, lang: TextLang = "en") -> str:
    """`CVE-2024-1: what upstream calls it`, or `CVE-2024-1 (product)` where it has no name for it."""
    if advisory.name and lang == "en":
        name = prose.clean_line(advisory.name)
        return name if name.startswith(advisory.key) else f"{advisory.key}: {name}"
    names = dict.fromkeys(item.name for item in advisory.affected)
    few = ", ".join(list(names)[:2]) + (", …" if len(names) > 2 else "")
    return f"{advisory.key} ({few})" if few else advisory.key


def _text(advisory: Advisory, lang: TextLang, text: str) -> str:
    if not text.strip():
        return ""
    parts = [text]
    if headings := _HEADINGS.get(lang):
        if listed := list_versions(advisory.affected, lang):
            parts.append(f"## {headings['affected']}\n\n{listed}")
        for section, name in headings.items():
            bodies = [body for kind, of, body in advisory.sections if kind == section and of == lang and body]
            if bodies:
                parts.append(f"## {name}\n\n" + "\n\n".join(dict.fromkeys(bodies)))
        # SSVC's terms are English, so only English says them.
        said = [_NOTES[lang][note].format(of) for note, of in advisory.notes if note in _NOTES[lang]]
        parts.append(" ".join(dict.fromkeys(said)))
    return prose.tidy_whitespace("\n\n".join(part for part in parts if part))


def _facts(advisory: Advisory, lang: TextLang) -> Facts:
    fixes = [
        body for kind, of, body in advisory.sections
        if kind in ("solutions", "workarounds", "action") and of == lang
    ]  # fmt: skip
    score = advisory.score
    return Facts(
        kind=advisory.kind,
        severity=(score.severity if score else None) or advisory.severity,
        cvss=score.value if score else None,
        cvss_vector=score.vector if score else None,
        related=unique(advisory.related),
        aliases=unique(alias for alias in advisory.aliases if alias != advisory.key),
        cwe=unique(advisory.cwe),
        mitigations=unique(fixes),
        platforms=unique(advisory.platforms),
        published=advisory.published,
        exploited=advisory.exploited,
        packages=unique(item.name for item in advisory.affected),
        references=unique(advisory.references),
    )


def list_versions(affected: Iterable[Versions], lang: TextLang) -> str:
    """A Markdown list, one line a product, cut at `MOST` of them; ranges in code spans."""
    phrases = _PHRASES[lang]
    by_name: dict[tuple[str, bool], list[str]] = {}
    for item in affected:
        by_name.setdefault((item.name, item.excluding), []).extend(item.ranges)
    lines = []
    for (name, excluding), ranges in by_name.items():
        shown = [prose.make_code_span(text) if text != "*" else phrases["all"] for text in unique(ranges)]
        cut = len(shown) - MOST
        words = "; ".join(shown[:MOST]) + (f"; {phrases['more'].format(cut)}" if cut > 0 else "")
        words = phrases["except"].format(words) if excluding and words else words
        lines.append(f"- {prose.clean_line(name)}" + (f": {words}" if words else ""))
    if len(lines) > MOST:
        lines = [*lines[:MOST], f"- {phrases['more'].format(len(lines) - MOST)}"]
    return "\n".join(lines)


def span(low: str = "", high: str = "", *, above: bool = False, including: bool = False) -> str:
    """Versions from `low` (above it with `above`) below `high` (up to it with `including`); `*` = all."""
    low = "" if low in ("0", "*", "n/a", "unspecified") else low
    parts = [f"{'>' if above else '≥'} {low}"] if low else []
    parts += [f"{'≤' if including else '<'} {high}"] if high else []
    return ", ".join(parts) or "*"


def by_language(
    texts: Iterable[tuple[str, str]], clean: Callable[[str], str] = prose.clean
) -> dict[TextLang, str]:
    """Language → clean Markdown of (publisher's language tag, upstream text) pairs.

    A text of some length decides where it clearly speaks another language than its tag says.
    Raises SourceError for one that is too long to be a description.
    """
    found: dict[TextLang, list[str]] = {}
    for tag, text in texts:
        if len(text) > LONGEST:
            raise SourceError(f"a text of {len(text):,} characters is no description")
        if cleaned := clean(text):
            told = primary(tag)
            lang = detect_language(cleaned, told) if len(cleaned) >= TELLING or told == "und" else told
            found.setdefault(lang, []).append(cleaned)
    return {lang: "\n\n".join(unique(parts)) for lang, parts in found.items()}


def primary(tag: str) -> TextLang:
    """`en` of `en-US`; `und` of what is no language tag."""
    match = re.match(r"([A-Za-z]{2,3})(?:[-_]|$)", tag)
    return match[1].lower() if match else "und"


def cwes(texts: Iterable[str]) -> list[str]:
    """The CWE ids that the texts name, in order. `NVD-CWE-noinfo` and `NVD-CWE-Other` name none."""
    return unique(f"CWE-{int(number)}" for text in texts for number in _CWE.findall(text))


def day(time: str | None) -> str | None:
    """`2024-01-02` of a timestamp; None for what is none (Go writes the year 1 for unknown)."""
    match = _DAY.match(time or "")
    return match[0] if match else None


def unique(values: Iterable[str]) -> list[str]:
    """Without empty ones and repetitions, in order."""
    return list(dict.fromkeys(value for value in values if value))
