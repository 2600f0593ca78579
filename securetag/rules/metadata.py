"""What a rule says of itself: its class, its severity and its words in two languages.

A rule's `metadata` block in YAML is flat (`message_en`, `message_es`, …), since that is how
Semgrep hands it through; here it becomes a typed RuleMetadata, or a ToolError that names the
rule and the field. Semgrep's own `message` field is the title: a few words, shown in prompts.
"""

from __future__ import annotations

import re

import msgspec

from securetag.errors import ToolError
from securetag.records import Confidence, JsonObject, Lang, RuleKind, Severity

_ID = re.compile(r"securetag\.(?P<language>[a-z]+)\.[a-z0-9]+(-[a-z0-9]+)*")
#: Semgrep severity words are our own in capitals, except where it has another.
_SEMGREP_SEVERITY: dict[Severity, str] = {
    "info": "INFO",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "critical": "CRITICAL",
}
#: Semgrep reads templates as text: it has no parser for most of their languages.
_SEMGREP_LANGUAGE = {"template": "regex"}
#: A title stands in every triage prompt, whose budget is 512 tokens.
MAX_TITLE = 40


class Text(msgspec.Struct, frozen=True):
    """One text in both product languages."""

    en: str
    es: str

    def get(self, lang: Lang) -> str:
        """The text in `lang`; English where there is none."""
        return self.es if lang == "es" else self.en


class RuleMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, without its patterns."""

    #: `securetag.<language>.<name>`.
    id: str
    #: `CWE-89`.
    cwe: str
    #: English, at most MAX_TITLE characters: "SQL injection".
    title: str
    #: Category of the OWASP Top 10, `A05:2025`.
    owasp: str
    severity: Severity
    confidence: Confidence
    kind: RuleKind
    #: Semgrep's names of the languages that the rule reads.
    languages: list[str]
    #: What the finding means, one sentence.
    message: Text
    #: What to do instead, one or two sentences.
    recommendation: Text


class _Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `metadata` block as it stands in YAML."""

    cwe: str
    owasp: str
    severity: Severity
    confidence: Confidence
    kind: RuleKind
    message_en: str
    message_es: str
    recommendation_en: str
    recommendation_es: str


def read_metadata(rule: JsonObject, *, where: str) -> RuleMetadata:
    """The metadata of one rule as parsed from YAML; `where` names its file in errors.

    Raises ToolError: a missing, unknown, empty or contradicting field.
    """
    identity = str(rule.get("id", "?"))
    try:
        declared = msgspec.convert(rule.get("metadata", {}), _Declared)
    except msgspec.ValidationError as error:
        raise _broken(where, identity, f"metadata: {error}") from error
    title, languages = rule.get("message"), rule.get("languages")
    named = _ID.fullmatch(identity)
    if named is None:
        raise _broken(where, identity, "the id is not securetag.<language>.<lower-case-name>")
    semgrep_language = _SEMGREP_LANGUAGE.get(named["language"], named["language"])
    if not isinstance(languages, list) or semgrep_language not in languages:
        raise _broken(where, identity, f"languages must be a list that holds {semgrep_language!r}")
    if not isinstance(title, str) or not 0 < len(title.strip()) <= MAX_TITLE:
        raise _broken(where, identity, f"message is the title: 1 to {MAX_TITLE} characters")
    if rule.get("severity") != _SEMGREP_SEVERITY[declared.severity]:
        raise _broken(where, identity, f"severity must be {_SEMGREP_SEVERITY[declared.severity]}")
    if not re.fullmatch(r"CWE-[1-9]\d*", declared.cwe):
        raise _broken(where, identity, f"cwe {declared.cwe!r} is not of the form CWE-89")
    if not re.fullmatch(r"A(0[1-9]|10):2025", declared.owasp):
        raise _broken(where, identity, f"owasp {declared.owasp!r} is not of the form A05:2025")
    for field in ("message_en", "message_es", "recommendation_en", "recommendation_es"):
        if not getattr(declared, field).strip():
            raise _broken(where, identity, f"{field} is empty")
    return RuleMetadata(
        id=identity,
        cwe=declared.cwe,
        title=title.strip(),
        owasp=declared.owasp,
        severity=declared.severity,
        confidence=declared.confidence,
        kind=declared.kind,
        languages=languages,
        message=Text(declared.message_en.strip(), declared.message_es.strip()),
        recommendation=Text(declared.recommendation_en.strip(), declared.recommendation_es.strip()),
    )


def _broken(where: str, identity: str, what: str) -> ToolError:
    return ToolError(f"rule {identity} in {where}: {what}", hint="docs/rules.md says how a rule is written.")
