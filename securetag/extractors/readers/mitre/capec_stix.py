"""CAPEC in STIX 2.0 and 2.1 (https://github.com/mitre/cti/blob/master/USAGE-CAPEC.md).

Upstream's conversion left XHTML in prose and the execution flow as an HTML fragment, whose wrapping
tags are bare; tags that stand in prose beside them (`<script>`, `<input …>`) are payloads and survive.
A course of action bears its text in `description` alone: its name is `coa-<pattern>-<n>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.readers.mitre.capec import AttackPattern, CapecReader, Step, fragment
from securetag.extractors.readers.stix import Kinds, Relationship, StixObject, StixReader, Thing
from securetag.extractors.text import prose
from securetag.records import Status

#: Field → nature, as CAPEC's XML names it.
_NATURES = {
    "x_capec_child_of_refs": "ChildOf", "x_capec_peer_of_refs": "PeerOf",
    "x_capec_can_follow_refs": "CanFollow", "x_capec_can_precede_refs": "CanPrecede",
}  # fmt: skip
_TAG = re.compile(r"</?(?:ol|ul|div|table|tbody|tr|th|p|li)\s*>")


class Pattern(Thing, frozen=True, gc=False, kw_only=True, tag="attack-pattern"):
    """One attack pattern."""

    x_capec_status: str = ""
    x_capec_extended_description: str = ""
    x_capec_prerequisites: list[str] = []
    x_capec_execution_flow: str = ""
    x_capec_skills_required: dict[str, str | None] = {}
    x_capec_resources_required: list[str] = []
    x_capec_likelihood_of_attack: str = ""
    x_capec_typical_severity: str = ""
    x_capec_consequences: dict[str, list[str]] = {}
    x_capec_example_instances: list[str] = []
    x_capec_alternate_terms: list[str] = []
    x_capec_domains: list[str] = []
    x_capec_child_of_refs: list[str] = []
    x_capec_peer_of_refs: list[str] = []
    x_capec_can_follow_refs: list[str] = []
    x_capec_can_precede_refs: list[str] = []


class CourseOfAction(Thing, frozen=True, gc=False, kw_only=True, tag="course-of-action"):
    """One mitigation."""


class CapecStixReader(CapecReader, StixReader):
    """Reads CAPEC's STIX, one object a file or all in one."""

    kinds = Kinds(Relationship, Pattern, CourseOfAction, bare=("identity", "marking-definition"))
    joins = frozenset({"mitigates"})

    def items(self, item: StixObject, file: FetchedFile, locator: str) -> Iterator[Item]:
        if not isinstance(item, Pattern):
            return
        key = _key(item)
        if not key:
            yield Drop("no CAPEC id", locator)
            return
        yield self.pattern(
            AttackPattern(
                key=key,
                name=item.name,
                status="Deprecated" if item.status is not Status.ACTIVE else item.x_capec_status,
                description=fragment(item.description or ""),
                extended=fragment(item.x_capec_extended_description),
                prerequisites=_fragments(item.x_capec_prerequisites),
                steps=list(steps(item.x_capec_execution_flow)),
                skills=[
                    (level, fragment(text or "")) for level, text in item.x_capec_skills_required.items()
                ],
                resources=_fragments(item.x_capec_resources_required),
                likelihood=item.x_capec_likelihood_of_attack,
                severity=item.x_capec_typical_severity,
                relations=list(self._relations(item)),
                cwe=_references(item, "cwe", "CWE-"),
                techniques=_references(item, "attack", "T"),
                consequences=list(_consequences(item)),
                mitigations=list(self._mitigations(item)),
                examples=_fragments(item.x_capec_example_instances),
                terms=item.x_capec_alternate_terms,
                domains=item.x_capec_domains,
                published=item.created or "",
            ),
            file,
            locator,
        )

    def _relations(self, item: Pattern) -> Iterator[tuple[str, str]]:
        for field, nature in _NATURES.items():
            for ref in getattr(item, field):
                if isinstance(other := self.objects.get(ref), Pattern) and (key := _key(other)):
                    yield nature, key

    def _mitigations(self, item: Pattern) -> Iterator[str]:
        """In upstream's order, which the number at the end of the name keeps."""
        found = [
            other for _, other in self.joined("mitigates", to=item.id) if isinstance(other, CourseOfAction)
        ]
        for other in sorted(found, key=lambda other: (_number(other.name), other.id)):
            yield fragment(other.description or "")


def _number(name: str) -> int:
    found = re.search(r"(\d{1,9})$", name)
    return int(found[1]) if found else 0


def _key(item: Pattern) -> str:
    own = (ref.external_id for ref in item.external_references if ref.source_name.lower() == "capec")
    return next((key for key in own if key), "")


def _references(item: Pattern, source: str, prefix: str) -> list[str]:
    """Keys in another catalog, with the prefix that its publisher writes."""
    ids = (ref.external_id for ref in item.external_references if ref.source_name.lower() == source)
    return [key if key.startswith(prefix) else prefix + key for key in ids if key]


def _fragments(texts: list[str]) -> list[str]:
    return [clean for text in texts if (clean := fragment(text))]


def _consequences(item: Pattern) -> Iterator[tuple[list[str], list[str], str]]:
    """Upstream has scope → impacts; scopes of the same impacts belong together, as in the XML."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for scope, impacts in item.x_capec_consequences.items():
        grouped.setdefault(tuple(impacts), []).append(scope.replace("_", " "))
    for shared, scopes in grouped.items():
        yield scopes, [prose.clean_line(impact) for impact in shared], ""


def steps(html: str) -> Iterator[Step]:
    """The steps of an execution flow: a heading a phase, an item a step, a table of techniques after it."""
    for part in html.split("<h3>")[1:]:
        phase, _, body = part.partition("</h3>")
        for item in body.split("<li>")[1:]:
            text, _, rest = item.partition("</li>")
            techniques = [_bare(cell.partition("</td>")[0]) for cell in rest.split("<td>")[1:]]
            if words := _bare(text):
                yield Step(
                    prose.clean_line(phase), words, [technique for technique in techniques if technique]
                )


def _bare(text: str) -> str:
    """Clean Markdown of what stands between the wrapping tags; `<b>Name: </b>` keeps its blank outside."""
    text = re.sub(r"<b>\s*([^<]*?)\s*</b>", r"<b>\1</b> ", _TAG.sub("", text))
    return fragment(text.strip())
