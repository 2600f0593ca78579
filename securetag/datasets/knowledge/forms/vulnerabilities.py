"""Questions on vulnerabilities: which weakness, which score, why, what to upgrade, what isn't said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from securetag.datasets.knowledge import grounding
from securetag.datasets.knowledge.corpus import Corpus, Entry
from securetag.datasets.knowledge.draft import Draft, draw, find_support, fit, split_parts, split_sentences
from securetag.datasets.knowledge.forms.weaknesses import MIN_SIBLING_STEMS, list_stems
from securetag.records import Record, Task

#: Headings behind a description that hold no description.
_BEHIND = re.compile(
    r"affected (?:versions|functions)|versiones afectadas|required action|solution|references|credit",
    re.IGNORECASE,
)
_RANGE = re.compile(r"^- (?P<package>\S+): (?P<ranges>`.+)$", re.M)
_BELOW = re.compile(r"`(?:[≥>]=? ?[^,`]+, )?< (?P<fixed>[\w.+~-]+)`")
_ECOSYSTEMS = ("PyPI/", "npm/", "Go/", "crates.io/", "Maven/", "RubyGems/", "Packagist/", "NuGet/")
_FIXED_IN = r"(?:before|prior to|fixed|patch\w*|upgrad\w*|updat\w*|until|earlier than|antes de|corregid\w*)"
_ONE_RANGE = re.compile(r"`(?:≥ (?P<low>[\w.+~-]+), )?< (?P<end>[\w.+~-]+)`")
#: Words of a sentence that says what is wrong, in English or Spanish.
_FLAW = re.compile(
    r"vulnerab|attack|atac|inject|inyecc|overflow|desborda|bypass|leak|fuga|exploit|allow|permit|crash|bloque|denial"
    r"|denega|traversal|XSS|CSRF|SSRF|disclos|revel|execut|ejecut|escalat|dereference|use.after.free|out.of.bounds"
    r"|flaw|falla|improper|incorrect|missing|without|panic|infinite|malicious|maliciosa|hard-coded|expos|spoof|steal"
    r"|unsafe|unsound|mishandl|fails? to|does not|didn't|doesn't|corrupt|redirect",
    re.IGNORECASE,
)
#: A sentence that says what the product is.
_ABOUT = re.compile(r"[^.]{0,80}? (?:is|are|es) (?:an?|the|una?|el|la) ", re.IGNORECASE)
_DUE = re.compile(r"US federal agencies had to act by (\d{4}-\d\d-\d\d)")
#: Least characters of a description that more than one thing can be asked of.
_MIN_CHARS = 60
#: Words of a weakness's title that a description has before the weakness is named as likely.
_MIN_SHARED = 2
_BASE_METRICS = frozenset({"AV", "AC", "PR", "UI", "S", "C", "I", "A"})
#: Words of a description that speak for a value of a CVSS metric, by language.
_CUES: dict[str, dict[str, str]] = {
    "en": {
        "AV:N": r"\bremote(?:ly)?\b|\bover the network\b|\bHTTP\b|\bURL\b|\bcrafted (?:request|packet)s?\b",
        "AV:L": r"\blocal (?:user|attacker|access)\b|\blocally\b|\bcrafted file\b",
        "AC:H": r"\brace condition\b|\bman-in-the-middle\b|\bunder certain\b",
        "PR:N": r"\bunauthenticated\b|\bwithout authentication\b|\bpre-auth\w*",
        "PR:L": r"(?<!un)(?<!un-)\bauthenticated\b|\blow.privileged?\b|\blogged.in\b",
        "PR:H": r"\badministrators?\b|\badmin\+?\b|\bhigh.privileged?\b",
        "UI:R": r"\btrick\w*\b|\bvictim\b|\bvisits?\b|\bopens?\b|\bXSS\b|\bcross.site\b|\bCSRF\b",
        "S:C": r"\bXSS\b|\bcross.site scripting\b|\bsandbox\b|\bescape\b",
        "C:H": r"\barbitrary code\b|\bdisclos\w+\b|\bread arbitrary\b|\bexfiltrat\w+\b|\bsensitive\b",
        "I:H": r"\barbitrary code\b|\bmodif\w+\b|\bwrite\b|\bexecute arbitrary\b",
        "A:H": r"\bdenial.of.service\b|\bDoS\b|\bcrash\w*\b|\barbitrary code\b|\bexhaust\w*\b",
    },
    "es": {
        "AV:N": r"\bremot[oa]s?\b|\bHTTP\b|\bURL\b",
        "PR:N": r"\bno autenticad[oa]s?\b|\bsin autenticación\b",
        "PR:L": r"(?<!no )\bautenticad[oa]s?\b",
        "PR:H": r"\badministrador(?:es)?\b",
        "UI:R": r"\bengañ\w+\b|\bvíctima\b|\bXSS\b|\bcross.site\b|\bCSRF\b",
        "S:C": r"\bXSS\b|\bcross.site scripting\b",
        "C:H": r"\bcódigo arbitrario\b|\binformación confidencial\b",
        "I:H": r"\bcódigo arbitrario\b|\bmodificar\b",
        "A:H": r"\bdenegación de servicio\b|\bbloque\w+\b|\bcódigo arbitrario\b",
    },
}
#: What an advisory without products is about.
_UNNAMED = {"en": "the affected product", "es": "el producto afectado"}
_SEVERITIES = {"es": {"low": "baja", "medium": "media", "high": "alta", "critical": "crítica"}}


class _Change(NamedTuple):
    """Another value of a base metric that a person asks about, and what would differ."""

    metric: str
    old: str
    new: str
    en: str
    es: str


_CHANGES = (
    _Change(
        "PR",
        "N",
        "L",
        en="An attacker then needs an account of an ordinary user first.",
        es="Quien ataca necesita entonces antes una cuenta de usuario normal.",
    ),
    _Change(
        "PR",
        "L",
        "N",
        en="Then whoever reaches the component can attack it, without an account.",
        es="Entonces puede atacar cualquiera que llegue al componente, sin tener cuenta.",
    ),
    _Change(
        "UI",
        "N",
        "R",
        en="Then it only works when another person acts, by opening a link for example.",
        es="Entonces solo funciona si actúa otra persona, por ejemplo al abrir un enlace.",
    ),
    _Change(
        "UI",
        "R",
        "N",
        en="Then the attack no longer waits for another person to act.",
        es="Entonces el ataque ya no depende de que actúe otra persona.",
    ),
    _Change(
        "AV",
        "N",
        "L",
        en="Then the network alone is no way in: local access is needed, or a user who opens something.",
        es="Entonces ya no está al alcance de toda la red: hace falta acceso local o alguien que abra algo.",
    ),
    _Change(
        "AC",
        "L",
        "H",
        en="Then conditions beyond the attacker's control have to be right too: it won't work every time.",
        es="Entonces deben darse además condiciones que quien ataca no controla: no funciona siempre.",
    ),
)


def describe(record: Record, limit: int = 1_500) -> str:
    """Return the description of a vulnerability, without versions, boilerplate and its own names."""
    lead, parts = split_parts(record.text)
    pieces = [lead, *(body for heading, body in parts if not lead and not _BEHIND.search(heading))]
    text = fit("\n\n".join(piece for piece in pieces if piece), limit)
    if text.count("```") % 2:
        return ""
    text = re.sub(r"\s*CISA lists this vulnerability as known to be exploited\..*", "", text, flags=re.S)
    # What the database says of its own work on an entry.
    text = re.sub(r"(?m)^(?:NVD (?:no )?ha terminado|NVD has (?:not )?finished)[^\n]*$", "", text)
    return text.strip()


def draft_vulnerability(record: Record, corpus: Corpus, limit: int) -> Iterator[Draft]:
    """Yield what the Record of one vulnerability answers."""
    text = describe(record, min(1_500, limit * 2))
    # One without a letter of prose, or that only repeats its title, describes nothing.
    if len(text) < _MIN_CHARS:
        text = ""
    if text:
        yield from _weakness(record, corpus, text)
        yield from _score(record, text)
        yield from _not_said(record, text)
    yield from _upgrade(record, text)
    yield from _version(record, text)
    if record.facts.exploited and text and draw(record, "exploited") % 3 == 0:
        due = _DUE.search(record.text)
        if due is not None:
            products = _name_products(record)
            yield Draft(
                Task.QA,
                "exploited",
                products,
                {"about": text, "key": record.key, "due": due[1], "products": products},
            )


def _weakness(record: Record, corpus: Corpus, text: str) -> Iterator[Draft]:
    """The weakness, with the sentence that shows it; none where no sentence does."""
    for key in record.facts.cwe[:1]:
        entry = corpus.find(key, record.lang, "MITRE")
        if entry is None or not entry.gist or key in text:
            continue
        support = find_support(text, f"{entry.title}. {entry.gist}", record.lang)
        if not support:
            continue
        usage = ""
        if entry.mapping_usage in {"Discouraged", "Prohibited"}:
            better = _find_likely(_children(corpus, key, record), text, record.lang)
            usage = (
                f"\n\n{key} is broad, and MITRE's mapping notes call its use {entry.mapping_usage.lower()}"
                + (
                    f": where the cause is known, look at its children, such as {'; '.join(better)}."
                    if better
                    else ": where the cause is known, look at its children."
                )
            )
        yield Draft(
            Task.MAPPING,
            "cve-weakness",
            entry.name,
            {"about": text, "definition": entry.gist, "support": support, "usage": usage, "key": record.key},
            (key,),
        )
        yield from _choice(record, corpus, entry, text, support)


def _choice(record: Record, corpus: Corpus, entry: Entry, text: str, support: str) -> Iterator[Draft]:
    """The weakness against a sibling that is mixed up with it, where the description speaks for the first."""
    siblings = corpus.siblings_of(entry.key, entry.parents, record.lang, "MITRE")
    others = [sibling for sibling in siblings if sibling.key not in record.facts.cwe]
    stems = list_stems(entry.title, entry.gist, record.lang)
    shared = [len(stems & list_stems(other.title, other.gist, record.lang)) for other in others]
    best = max(range(len(others)), key=lambda n: (shared[n], draw(record, others[n].key)), default=None)
    if best is None or shared[best] < MIN_SIBLING_STEMS or entry.title.split(" (")[0].lower() in text.lower():
        return
    other = others[best]
    described = grounding.content_stems(text, record.lang)
    other_stems = list_stems(other.title, other.gist, record.lang)
    # Words that only one of the two has, and the description with it.
    if len(described & (stems - other_stems)) <= len(described & (other_stems - stems)):
        return
    candidates = [entry.name, other.name]
    if draw(record, "order") % 2:
        candidates.reverse()
    fields = {
        "about": text,
        "support": support,
        "definition": entry.gist,
        "first": candidates[0],
        "second": candidates[1],
        "other": other.name,
        "other_key": other.key,
        "other_gist": other.gist,
        "key": record.key,
    }
    yield Draft(Task.MAPPING, "cve-choice", entry.name, fields, (entry.key, other.key))


def _find_likely(entries: Iterator[Entry], text: str, lang: str) -> list[str]:
    """Return the names of the entries of whose title a description has at least two words, most first."""
    stems = grounding.content_stems(text, lang)
    shared = {entry.name: len(stems & grounding.content_stems(entry.title, lang)) for entry in entries}
    return sorted((name for name, n in shared.items() if n >= _MIN_SHARED), key=lambda name: -shared[name])[
        :3
    ]


def _children(corpus: Corpus, key: str, record: Record) -> Iterator[Entry]:
    for child in corpus.children(key, "MITRE"):
        entry = corpus.find(child, record.lang, "MITRE")
        if entry is not None:
            yield entry


def _score(record: Record, text: str) -> Iterator[Draft]:
    """The vector with its metrics in words and what speaks for them; and one other value."""
    facts = record.facts
    if not facts.cvss_vector or not facts.cvss_metrics or not facts.cvss_vector.startswith("CVSS:3"):
        return
    if re.search(r"\bCVSS\b", text):
        return
    cues = _CUES.get(record.lang, {})
    lines = []
    for metric in facts.cvss_metrics:
        cue = re.search(cues.get(metric.split(": ")[0], r"(?!)"), text, re.IGNORECASE)
        lines.append(f"- {metric}" + (f" (“{cue[0]}”)" if cue else ""))
    fields = {
        "about": text,
        "vector": _base_of(facts.cvss_vector),
        "score": f"{facts.cvss or 0.0:.1f}",
        "severity": _SEVERITIES.get(record.lang, {}).get(facts.severity or "", facts.severity or ""),
    }
    yield Draft(Task.MAPPING, "score", "\n".join(lines), fields)
    yield from _changed_score(record, fields)


def _base_of(vector: str) -> str:
    """Return a CVSS v3 vector without its temporal and environmental metrics, which nothing here explains."""
    version, *metrics = vector.split("/")
    return "/".join([version, *(each for each in metrics if each.split(":")[0] in _BASE_METRICS)])


def _changed_score(record: Record, fields: dict[str, str]) -> Iterator[Draft]:
    from cvss import CVSS3, CVSS3Error

    vector = fields["vector"]
    possible = [change for change in _CHANGES if f"/{change.metric}:{change.old}/" in f"{vector}/"]
    if not possible:
        return
    change = possible[draw(record, "change") % len(possible)]
    name, old, new = change.metric, change.old, change.new
    changed = f"{vector}/".replace(f"/{name}:{old}/", f"/{name}:{new}/").removesuffix("/")
    try:
        score = float(CVSS3(changed).scores()[0])
    except CVSS3Error:
        return
    before = float(fields["score"])
    if score == before:
        return
    direction = ("falls", "baja") if score < before else ("rises", "sube")
    yield Draft(
        Task.MAPPING,
        f"score-change/{name}",
        f"`{changed}`",
        fields
        | {
            "new_score": f"{score:.1f}",
            "direction": direction[record.lang == "es"],
            "old": f"{name}:{old}",
            "new": f"{name}:{new}",
            "meaning": change.es if record.lang == "es" else change.en,
        },
    )


def _upgrade(record: Record, text: str) -> Iterator[Draft]:
    """Which versions are affected, and the first that isn't."""
    lines: list[str] = []
    fixed: list[tuple[str, str]] = []
    either = "o" if record.lang == "es" else "or"
    for match in _RANGE.finditer(record.text):
        ends = _BELOW.findall(match["ranges"])
        lines.append(f"- {match['package']}: {match['ranges']}")
        # A range without an end has no fixed version.
        if ends and len(ends) == match["ranges"].count("`") // 2:
            fixed.append((match["package"], f" {either} ".join(dict.fromkeys(ends))))
    if not fixed or len(fixed) != len(lines) or len(lines) > 6:
        return
    package = fixed[0][0].split("/", 1)[-1]
    upgrades = _join([f"{name.split('/', 1)[-1]} {version}" for name, version in fixed], record.lang)
    yield Draft(
        Task.REMEDIATION,
        "upgrade",
        "\n".join(lines),
        {"package": package, "key": record.key, "upgrades": upgrades, "about": shorten_about(text)},
    )


def _version(record: Record, text: str) -> Iterator[Draft]:
    """Whether a release of a package is affected: the first of a range, those before its end, or its end.

    Of several ranges only the first releases are asked about: one with the fix may lie in another range.
    """
    matches = list(_RANGE.finditer(record.text))
    if len(matches) != 1 or not matches[0]["package"].startswith(_ECOSYSTEMS):
        return
    ranges = [_ONE_RANGE.fullmatch(part) for part in matches[0]["ranges"].split("; ")]
    whole = [part for part in ranges if part is not None]
    if not whole or len(whole) != len(ranges):
        return
    part = whole[draw(record, "range") % len(whole)]
    low = part["low"] if part["low"] != "0" else None
    if len(whole) == 1 and draw(record, "affected") % 2 and _names_fix(text, part["end"]):
        form = "version-fixed"
    elif low is not None:
        form = "version-affected"
    elif len(whole) == 1:
        form = "version-before"
    else:
        return
    fields = {
        "package": matches[0]["package"].split("/", 1)[-1],
        "key": record.key,
        "version": low if form == "version-affected" and low else part["end"],
        "fixed": part["end"],
        "about": shorten_about(text),
    }
    yield Draft(Task.REMEDIATION, form, part[0], fields)


def _names_fix(text: str, version: str) -> bool:
    """Whether a description that has a version has it as the one with the fix; True where it has none."""
    if version not in text:
        return True
    return bool(re.search(rf"{_FIXED_IN}[^.]{{0,60}}{re.escape(version)}", text, re.IGNORECASE))


def shorten_about(text: str) -> str:
    """Return the first paragraph of a description, as a note below an answer."""
    return text.split("\n\n", 1)[0] if len(text) <= 600 else ""


def _not_said(record: Record, text: str) -> Iterator[Draft]:
    """What an advisory is asked for and doesn't have; one question a Record."""
    facts, lower = record.facts, record.text.lower()
    products = _name_products(record)
    ranges = bool(_RANGE.search(record.text))
    missing: list[tuple[str, str]] = []
    if facts.cvss is None and "cvss" not in lower:
        missing.append(("not-said-score", products))
    if not re.search(r"workaround|mitigat|disabl|solución|mitig|desactiv", lower):
        missing.append(("not-said-workaround", products))
    if not ranges and facts.packages and not re.search(r"\d\.\d|prior to|before|anterior", text):
        missing.append(("not-said-versions", products))
    if not facts.exploited and "exploit" not in lower and "explot" not in lower:
        missing.append(("not-said-exploited", products))
    if missing:
        form, named = missing[draw(record, "missing") % len(missing)]
        answer = named or _UNNAMED[record.lang]
        subject = find_subject(text)
        if subject:
            yield Draft(Task.QA, form, answer, {"about": text, "subject": subject, "products": answer})


def find_subject(text: str) -> str:
    """Return the first sentence on the flaw that is short enough to be quoted; empty without one.

    The first sentence of many advisories says what the product is, or that something was found.
    """
    quotable = [
        sentence
        for line in split_sentences(text)
        for sentence in [line.removeprefix("- ")]
        if 20 <= len(sentence) <= 320 and sentence.endswith((".", "!", ")"))
    ]
    on_flaw = [sentence for sentence in quotable if _FLAW.search(sentence)]
    # Nobody can list all the words for what is wrong.
    first = [
        sentence for sentence in quotable[:1] if text.startswith(sentence) and not _ABOUT.match(sentence)
    ]
    return next(iter([*on_flaw, *first]), "")


def _name_products(record: Record) -> str:
    """Return the first affected products; a vendor of the product's name is named once."""
    names = [
        product if vendor == product else name
        for name in record.facts.packages[:4]
        for vendor, _, product in [name.partition("/")]
    ]
    return _join(names, record.lang)


def _join(names: list[str], lang: str) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {'y' if lang == 'es' else 'and'} {names[-1]}"
