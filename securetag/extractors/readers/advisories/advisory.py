"""The model that all readers of vulnerabilities share: one `Advisory`, and the Records that it becomes.

A publication gives some of: prose in one or more languages, affected versions, scores, weaknesses, fixes.
Each language becomes a separate Record with text of that language only: the sections that are made here
exist in English and Spanish, and other languages keep only their prose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.advisories.cvss_score import Score
from securetag.extractors.readers.advisories.cvss_words import describe_vector
from securetag.extractors.readers.base import Item, Reader, describe_error
from securetag.extractors.text import prose
from securetag.extractors.text.language import detect_language
from securetag.records import Facts, Severity, Status, TextLang

#: Maximum products in a text, and ranges of each; the rest is counted. Linux has hundreds.
MAX_PRODUCTS = 12
#: Minimum characters of a text whose language is detected; a shorter one keeps the publisher's tag.
#: Of 400 shorter descriptions, half product names, 8 were detected as Catalan, Portuguese or French.
MIN_DETECTABLE_CHARS = 250
#: Maximum characters of one text; the longest of 2,700 vulnerabilities has 8,000.
MAX_TEXT_CHARS = 1_000_000

Section = Literal[
    "affected",
    "not_affected",
    "functions",
    "impact",
    "configurations",
    "exploits",
    "solutions",
    "workarounds",
    "risk",
    "action",
]
Note = Literal[
    "disputed",
    "unsupported-when-assigned",
    "exclusively-hosted-service",
    "unanalysed",
    "deferred",
    "exploited",
    "ransomware",
    "ssvc",
    "due",
]
_SECTION_HEADINGS: dict[str, dict[Section, str]] = {
    "en": {
        "affected": "Affected versions",
        "not_affected": "Not affected",
        "functions": "Affected functions",
        "impact": "Impact",
        "configurations": "Required configuration",
        "exploits": "Exploitation",
        "solutions": "Solution",
        "workarounds": "Mitigation",
        "risk": "Risk",
        "action": "Required action",
    },
    "es": {
        "affected": "Versiones afectadas",
        "not_affected": "No afectados",
        "functions": "Funciones afectadas",
        "impact": "Impacto",
        "configurations": "Configuración necesaria",
        "exploits": "Explotación",
        "solutions": "Solución",
        "workarounds": "Mitigación",
        "risk": "Riesgo",
        "action": "Acción exigida",
    },
}
_NOTE_TEXTS: dict[str, dict[Note, str]] = {
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
_VERSION_PHRASES = {
    "en": {
        "all": "all versions",
        "except": "except",
        "fixed": "fixed in",
        "and": "and",
        "more": "and {} more",
        "limit": "(limit)",
        "unfixed": "(no fix known)",
    },
    "es": {
        "all": "todas las versiones",
        "except": "salvo",
        "fixed": "corregido en",
        "and": "y",
        "more": "y {} más",
        "limit": "(límite)",
        "unfixed": "(sin corrección conocida)",
    },
}
_CWE_ID = re.compile(r"\bCWE-(\d{1,5})\b", re.I)
_ISO_DAY = re.compile(r"(?!0001)\d{4}-\d\d-\d\d")


#: What ends a range instead of a fix: OSV's `limit`, or the last version that is known to be affected.
RangeNote = Literal["limit", "unfixed"]


class Fix(msgspec.Struct, frozen=True):
    """A version that is fixed, and all later ones of its branch."""

    version: str
    #: `6.1.*`; empty where every later version is fixed.
    branch: str = ""


class Versions(msgspec.Struct, frozen=True):
    """A package or product and its affected versions: those of `ranges`, without exceptions and fixes."""

    name: str
    #: `< 2.1`, `≥ 3.0, < 3.2`, `5.6.0`; `*` for all versions.
    ranges: list[str] = []
    #: Versions or ranges inside `ranges` that are not affected.
    exceptions: list[str] = []
    fixed: list[Fix] = []
    #: Range → what ends it.
    notes: dict[str, RangeNote] = {}


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
    #: The publisher's word, used without a score.
    severity: Severity | None = None
    cwe: list[str] = []
    aliases: list[str] = []
    related: list[str] = []
    references: list[str] = []
    platforms: list[str] = []
    published: str | None = None
    exploited: bool = False
    status: Status = Status.ACTIVE


def make_records(
    reader: Reader, file: FetchedFile, build_advisory: Callable[[], Advisory], *, locator: str, url: str
) -> Iterator[Item]:
    """Yield one Record a language of the advisory that `build_advisory` returns.

    Yields a Drop where the advisory has no text, and a Failure where it can't be built, so that other
    items of the file are still read.
    """
    try:
        advisory = build_advisory()
    except (SourceError, RecursionError) as error:
        yield Failure(str(file.path), locator, describe_error(error))
        return
    for lang, text in (advisory.texts or {reader.source.lang: ""}).items():
        yield reader.record(
            file,
            key=advisory.key,
            title=make_title(advisory, lang),
            text=_render_text(advisory, lang, text),
            locator=locator,
            url=url,
            facts=_make_facts(advisory, lang),
            status=advisory.status,
            lang=lang,
            is_lang_certain=True,
        )


def make_title(advisory: Advisory, lang: TextLang = "en") -> str:
    """Return `CVE-2024-1: name`, or `CVE-2024-1 (product)` for an advisory without a name in `lang`."""
    if advisory.name and lang == "en":
        name = prose.clean_line(advisory.name)
        return name if name.startswith(advisory.key) else f"{advisory.key}: {name}"
    names = dict.fromkeys(item.name for item in advisory.affected)
    few = ", ".join(list(names)[:2]) + (", …" if len(names) > 2 else "")
    return f"{advisory.key} ({few})" if few else advisory.key


def _render_text(advisory: Advisory, lang: TextLang, text: str) -> str:
    if not text.strip():
        return ""
    parts = [text]
    if headings := _SECTION_HEADINGS.get(lang):
        if version_list := render_versions(advisory.affected, lang):
            parts.append(f"## {headings['affected']}\n\n{version_list}")
        for section, name in headings.items():
            bodies = [body for kind, of, body in advisory.sections if kind == section and of == lang and body]
            if bodies:
                parts.append(f"## {name}\n\n" + "\n\n".join(dict.fromkeys(bodies)))
        # SSVC's terms are English, so only English says them.
        note_texts = [
            _NOTE_TEXTS[lang][note].format(of) for note, of in advisory.notes if note in _NOTE_TEXTS[lang]
        ]
        parts.append(" ".join(dict.fromkeys(note_texts)))
    return prose.tidy_whitespace("\n\n".join(part for part in parts if part))


def _make_facts(advisory: Advisory, lang: TextLang) -> Facts:
    fixes = [
        body
        for kind, of, body in advisory.sections
        if kind in ("solutions", "workarounds", "action") and of == lang
    ]
    score = advisory.score
    return Facts(
        kind=advisory.kind,
        severity=(score.severity if score else None) or advisory.severity,
        cvss=score.value if score else None,
        cvss_vector=score.vector if score else None,
        cvss_metrics=list(describe_vector(score.vector if score else None, lang)),
        related=drop_repeated(advisory.related),
        aliases=drop_repeated(alias for alias in advisory.aliases if alias != advisory.key),
        cwe=drop_repeated(advisory.cwe),
        mitigations=drop_repeated(fixes),
        platforms=drop_repeated(advisory.platforms),
        published=advisory.published,
        exploited=advisory.exploited,
        packages=drop_repeated(item.name for item in advisory.affected),
        references=drop_repeated(advisory.references),
    )


def render_versions(affected: Iterable[Versions], lang: TextLang) -> str:
    """Return a Markdown list with one line a product, at most MAX_PRODUCTS of them; ranges in code spans."""
    by_name: dict[tuple[str, tuple[str, ...], tuple[Fix, ...]], Versions] = {}
    for item in affected:
        key = (item.name, tuple(item.exceptions), tuple(item.fixed))
        before = by_name.get(key, Versions(item.name))
        by_name[key] = msgspec.structs.replace(
            item, ranges=[*before.ranges, *item.ranges], notes=before.notes | item.notes
        )
    with_ranges = {item.name for item in by_name.values() if item.ranges}
    lines = []
    for item in by_name.values():
        if item.ranges or item.name not in with_ranges:
            words = _render_ranges(item, _VERSION_PHRASES[lang])
            lines.append(f"- {prose.clean_line(item.name)}" + (f": {words}" if words else ""))
    if len(lines) > MAX_PRODUCTS:
        more = _VERSION_PHRASES[lang]["more"].format(len(lines) - MAX_PRODUCTS)
        lines = [*lines[:MAX_PRODUCTS], f"- {more}"]
    return "\n".join(lines)


def _render_ranges(item: Versions, phrases: dict[str, str]) -> str:
    """Return `` `≥ 6.5` except `6.9`, fixed in `6.6.17` (`6.6.*`) and `6.8` ``."""
    shown = []
    for text in drop_repeated(item.ranges):
        note = phrases[item.notes[text]] if text in item.notes else ""
        words = phrases["all"] if text == "*" else prose.make_code_span(text)
        shown.append(f"{words} {note}".strip())
    words = _cut_list(shown, "; ", phrases)
    if words and item.exceptions:
        exceptions = [prose.make_code_span(text) for text in drop_repeated(item.exceptions)]
        words += f" {phrases['except']} {_cut_list(exceptions, '; ', phrases)}"
    if words and item.fixed:
        fixes = [
            prose.make_code_span(fix.version) + (f" ({prose.make_code_span(fix.branch)})" * bool(fix.branch))
            for fix in item.fixed
        ]
        if 1 < len(fixes) <= MAX_PRODUCTS:
            fixes[-2:] = [f"{fixes[-2]} {phrases['and']} {fixes[-1]}"]
        words += f", {phrases['fixed']} {_cut_list(fixes, ', ', phrases)}"
    return words


def _cut_list(texts: list[str], separator: str, phrases: dict[str, str]) -> str:
    cut = len(texts) - MAX_PRODUCTS
    more = [phrases["more"].format(cut)] if cut > 0 else []
    return separator.join([*texts[:MAX_PRODUCTS], *more])


def format_range(
    low: str = "", high: str = "", *, low_excluded: bool = False, high_included: bool = False
) -> str:
    """Return the range from `low` to `high` as text; `*` means all versions.

    `low_excluded` excludes `low` itself, `high_included` includes `high`.
    """
    low = "" if low in ("0", "*", "n/a", "unspecified") else low
    parts = [f"{'>' if low_excluded else '≥'} {low}"] if low else []
    parts += [f"{'≤' if high_included else '<'} {high}"] if high else []
    return ", ".join(parts) or "*"


def group_by_language(
    texts: Iterable[tuple[str, str]], clean: Callable[[str], str] = prose.clean
) -> dict[TextLang, str]:
    """Return language → clean Markdown for (publisher's language tag, text) pairs.

    A text of some length decides where it clearly speaks another language than its tag says.
    Raises SourceError for one that is too long to be a description.
    """
    texts_by_language: dict[TextLang, list[str]] = {}
    for tag, text in texts:
        if len(text) > MAX_TEXT_CHARS:
            raise SourceError(f"a text of {len(text):,} characters is no description")
        if cleaned := clean(text):
            tagged_lang = get_primary_language(tag)
            lang = (
                detect_language(cleaned, tagged_lang)
                if len(cleaned) >= MIN_DETECTABLE_CHARS or tagged_lang == "und"
                else tagged_lang
            )
            texts_by_language.setdefault(lang, []).append(cleaned)
    return {lang: "\n\n".join(drop_repeated(parts)) for lang, parts in texts_by_language.items()}


def get_primary_language(tag: str) -> TextLang:
    """Return `en` for `en-US`; `und` for a text that isn't a language tag."""
    match = re.match(r"([A-Za-z]{2,3})(?:[-_]|$)", tag)
    return match[1].lower() if match else "und"


def list_cwe_ids(texts: Iterable[str]) -> list[str]:
    """Return the CWE ids in the texts, in order. `NVD-CWE-noinfo` and `NVD-CWE-Other` give none."""
    return drop_repeated(f"CWE-{int(number)}" for text in texts for number in _CWE_ID.findall(text))


def get_day(time: str | None) -> str | None:
    """Return `2024-01-02` of a timestamp; None without one (Go writes the year 1 for an unknown day)."""
    match = _ISO_DAY.match(time or "")
    return match[0] if match else None


def drop_repeated(values: Iterable[str]) -> list[str]:
    """Return the values in order, without empty and repeated ones."""
    return list(dict.fromkeys(value for value in values if value))
