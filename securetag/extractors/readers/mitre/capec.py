"""Make Records of CAPEC: the model that its STIX and its XML share.

Schema: https://capec.mitre.org/documents/schema/ (3.x). The text of an attack pattern is its description,
then its prerequisites and its execution flow, step by step; mitigations, weaknesses, techniques of ATT&CK
and consequences are facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import Item, Reader
from securetag.extractors.readers.mitre.cwe import (
    STATUS_BY_WORD,
    clean_prose,
    drop_repeated,
    render_consequence,
    render_taxonomy,
)
from securetag.extractors.text import prose
from securetag.records import Facts, Severity, Status

_SEVERITY: dict[str, Severity] = {
    "very low": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "very high": "critical",
}
#: The forms in which a step's name precedes its description.
_STEP_NAME = re.compile(
    r"^(?:\*\*(?P<bold>[^*\n]+?)[:.\s]*\*\*|\[(?P<bracket>[^\]\n]+)\])\s*(?P<rest>.*)", re.S
)


class Step(msgspec.Struct, frozen=True):
    """One step of an execution flow, in clean Markdown."""

    #: Explore, Experiment, Exploit.
    phase: str
    text: str
    techniques: list[str] = []


class AttackPattern(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of CAPEC, its prose in clean Markdown, its relations resolved to keys."""

    #: `CAPEC-66`
    key: str
    name: str
    status: str
    description: str
    extended: str = ""
    prerequisites: list[str] = []
    steps: list[Step] = []
    #: (level, text)
    skills: list[tuple[str, str]] = []
    resources: list[str] = []
    likelihood: str = ""
    severity: str = ""
    #: (nature, key): ChildOf, CanPrecede, …
    relations: list[tuple[str, str]] = []
    cwe: list[str] = []
    #: Keys of ATT&CK techniques.
    techniques: list[str] = []
    #: (taxonomy, id, name): ATT&CK, WASC, OWASP's attacks.
    taxonomies: list[tuple[str, str, str]] = []
    #: (scopes, impacts, note)
    consequences: list[tuple[list[str], list[str], str]] = []
    mitigations: list[str] = []
    examples: list[str] = []
    terms: list[str] = []
    domains: list[str] = []
    published: str = ""


class CapecReader(Reader):
    """Base of both readers: a subclass decodes `AttackPattern`s, this one makes Records of them."""

    def pattern(self, pattern: AttackPattern, file: FetchedFile, locator: str) -> Item:
        """Return the Record of one pattern, or a Drop with the reason."""
        return self.record(
            file,
            key=pattern.key,
            title=pattern.name,
            text="\n\n".join(_render_text(pattern)),
            locator=locator,
            url=f"https://capec.mitre.org/data/definitions/{pattern.key.removeprefix('CAPEC-')}.html",
            facts=_make_facts(pattern),
            status=STATUS_BY_WORD.get(pattern.status.lower(), Status.ACTIVE),
        )


def clean_fragment(text: str) -> str:
    """Return an XHTML fragment as clean Markdown; its line breaks are only the file's indentation."""
    if "<xhtml:" not in text:
        return clean_prose(text)
    flat = re.sub(r"\s*\n\s*", " ", text.strip())
    return "\n".join(line.strip() for line in clean_prose(flat).split("\n"))


def format_step(text: str) -> str:
    """Return the clean text of a step with its name in bold."""
    if not (match := _STEP_NAME.match(text.strip())):
        return text.strip()
    name = (match["bold"] or match["bracket"]).strip().rstrip(":.")
    return f"**{name}:** {match['rest'].strip()}".strip()


def _render_text(pattern: AttackPattern) -> Iterable[str]:
    """Yield the parts of a Record's text; none for a pattern without any prose."""
    yield from (part for part in (pattern.description, pattern.extended) if part)
    if pattern.prerequisites:
        yield f"## Prerequisites\n\n{_render_bullets(pattern.prerequisites)}"
    skills = [f"{level}: {text}" if text else level for level, text in pattern.skills]
    if skills:
        yield f"## Skills required\n\n{_render_bullets(skills)}"
    if pattern.resources:
        yield f"## Resources required\n\n{_render_bullets(pattern.resources)}"
    if pattern.steps:
        yield "## Execution flow\n\n" + "\n\n".join(_render_flow(pattern.steps))


def _render_flow(steps: list[Step]) -> Iterable[str]:
    phase = None
    for number, step in enumerate(steps, 1):
        if step.phase != phase:
            phase = step.phase
            if phase:
                yield f"### {phase}"
        lines = [f"{number}. {_indent_lines(format_step(step.text), 3)}"]
        lines += [f"   - {_indent_lines(technique, 5)}" for technique in step.techniques]
        yield "\n".join(lines)


def _render_bullets(texts: list[str]) -> str:
    return "\n".join(f"- {_indent_lines(text, 2)}" for text in texts)


def _indent_lines(text: str, indent: int) -> str:
    """Indent all lines but the first, for the content of a list item."""
    return re.sub(r"\n(?!\n)", "\n" + " " * indent, text)


def _make_facts(pattern: AttackPattern) -> Facts:
    parents = drop_repeated(key for nature, key in pattern.relations if nature == "ChildOf")
    related = drop_repeated(key for nature, key in pattern.relations if nature not in {"ChildOf", "ParentOf"})
    return Facts(
        kind="attack-pattern",
        severity=_SEVERITY.get(pattern.severity.lower()),
        likelihood=pattern.likelihood or None,
        parents=parents,
        related=[key for key in related if key not in parents] + drop_repeated(pattern.techniques),
        aliases=drop_repeated(prose.clean_line(term) for term in pattern.terms),
        cwe=drop_repeated(pattern.cwe),
        mitigations=drop_repeated(pattern.mitigations),
        consequences=drop_repeated(render_consequence(*parts) for parts in pattern.consequences),
        examples=drop_repeated(pattern.examples),
        taxonomies=drop_repeated(map(render_taxonomy, pattern.taxonomies)),
        platforms=drop_repeated(pattern.domains),
        published=pattern.published[:10] or None,
    )
