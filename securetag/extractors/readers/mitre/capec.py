"""CAPEC → Records: what its STIX and its XML have in common.

Schema: https://capec.mitre.org/documents/schema/ (3.x). An attack pattern's text is its description,
then what an attack needs and how it goes, step by step; mitigations, weaknesses, techniques of ATT&CK
and consequences are facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import Item, Reader
from securetag.extractors.readers.mitre.cwe import STATUS, consequence, tidy_prose, unique
from securetag.extractors.text import prose
from securetag.records import Facts, Severity, Status

_SEVERITY: dict[str, Severity] = {
    "very low": "low", "low": "low", "medium": "medium", "high": "high", "very high": "critical",
}  # fmt: skip
#: `**Name:** ` from the ways in which a step's name stands before its description.
_STEP_NAME = re.compile(
    r"^(?:\*\*(?P<bold>[^*\n]+?)[:.\s]*\*\*|\[(?P<bracket>[^\]\n]+)\])\s*(?P<rest>.*)", re.S
)


class Step(msgspec.Struct, frozen=True):
    """One step of an execution flow, its prose clean Markdown."""

    #: Explore, Experiment, Exploit.
    phase: str
    text: str
    techniques: list[str] = []


class AttackPattern(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of CAPEC, its prose clean Markdown, its relations resolved to keys."""

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
    #: Keys of ATT&CK's techniques.
    techniques: list[str] = []
    #: (scopes, impacts, note)
    consequences: list[tuple[list[str], list[str], str]] = []
    mitigations: list[str] = []
    examples: list[str] = []
    terms: list[str] = []
    domains: list[str] = []
    published: str = ""


class CapecReader(Reader):
    """Base of the two: a subclass finds `AttackPattern`s, this one makes Records of them."""

    def pattern(self, found: AttackPattern, file: FetchedFile, locator: str) -> Item:
        """The Record of one pattern, or why it is left out."""
        return self.record(
            file,
            key=found.key,
            title=found.name,
            text="\n\n".join(_text(found)),
            locator=locator,
            url=f"https://capec.mitre.org/data/definitions/{found.key.removeprefix('CAPEC-')}.html",
            facts=_facts(found),
            status=STATUS.get(found.status.lower(), Status.ACTIVE),
        )


def fragment(text: str) -> str:
    """An XHTML fragment as clean Markdown; its line breaks are the file's indentation."""
    if "<xhtml:" not in text:
        return tidy_prose(text)
    flat = re.sub(r"\s*\n\s*", " ", text.strip())
    return "\n".join(line.strip() for line in tidy_prose(flat).split("\n"))


def step_text(text: str) -> str:
    """A step's clean text with its name in bold."""
    if not (found := _STEP_NAME.match(text.strip())):
        return text.strip()
    name = (found["bold"] or found["bracket"]).strip().rstrip(":.")
    return f"**{name}:** {found['rest'].strip()}".strip()


def _text(found: AttackPattern) -> Iterable[str]:
    """The parts of a Record's text; nothing where there is neither description nor anything beside it."""
    yield from (part for part in (found.description, found.extended) if part)
    if found.prerequisites:
        yield f"## Prerequisites\n\n{_bullets(found.prerequisites)}"
    skills = [f"{level}: {text}" if text else level for level, text in found.skills]
    if skills:
        yield f"## Skills required\n\n{_bullets(skills)}"
    if found.resources:
        yield f"## Resources required\n\n{_bullets(found.resources)}"
    if found.steps:
        yield "## Execution flow\n\n" + "\n\n".join(_flow(found.steps))


def _flow(steps: list[Step]) -> Iterable[str]:
    phase = None
    for number, step in enumerate(steps, 1):
        if step.phase != phase:
            phase = step.phase
            if phase:
                yield f"### {phase}"
        lines = [f"{number}. {_inside(step_text(step.text), 3)}"]
        lines += [f"   - {_inside(technique, 5)}" for technique in step.techniques]
        yield "\n".join(lines)


def _bullets(texts: list[str]) -> str:
    return "\n".join(f"- {_inside(text, 2)}" for text in texts)


def _inside(text: str, indent: int) -> str:
    """Text of several lines as the content of a list's item."""
    return re.sub(r"\n(?!\n)", "\n" + " " * indent, text)


def _facts(found: AttackPattern) -> Facts:
    parents = unique(key for nature, key in found.relations if nature == "ChildOf")
    related = unique(key for nature, key in found.relations if nature not in {"ChildOf", "ParentOf"})
    return Facts(
        kind="attack-pattern",
        severity=_SEVERITY.get(found.severity.lower()),
        likelihood=found.likelihood or None,
        parents=parents,
        related=[key for key in related if key not in parents] + unique(found.techniques),
        aliases=unique(prose.clean_line(term) for term in found.terms),
        cwe=unique(found.cwe),
        mitigations=unique(found.mitigations),
        consequences=unique(consequence(*parts) for parts in found.consequences),
        examples=unique(found.examples),
        platforms=unique(found.domains),
        published=found.published[:10] or None,
    )
