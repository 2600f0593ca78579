"""Read CAPEC in STIX 2.0 and 2.1 (https://github.com/mitre/cti/blob/master/USAGE-CAPEC.md).

Upstream's conversion left XHTML in prose, and the execution flow as an HTML fragment whose wrapping tags
have no attributes. Other tags in prose (`<script>`, `<input …>`) are payloads and are kept. The text of a
course of action is in `description`: its name is only `coa-<pattern>-<n>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.readers.mitre.capec import AttackPattern, CapecReader, Step, clean_fragment
from securetag.extractors.readers.stix import Kinds, Relationship, StixObject, StixReader, Thing
from securetag.extractors.text import prose
from securetag.records import Status

#: Field → nature of the relation in CAPEC's XML.
_NATURE_BY_FIELD = {
    "x_capec_child_of_refs": "ChildOf",
    "x_capec_peer_of_refs": "PeerOf",
    "x_capec_can_follow_refs": "CanFollow",
    "x_capec_can_precede_refs": "CanPrecede",
}
_WRAPPER_TAG = re.compile(r"</?(?:ol|ul|div|table|tbody|tr|th|p|li)\s*>")


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


_TAXONOMIES = ("ATTACK", "WASC", "OWASP Attacks")


class CapecStixReader(CapecReader, StixReader):
    """Reads CAPEC's STIX, one object a file or all in one."""

    kinds = Kinds(Relationship, Pattern, CourseOfAction, bare=("identity", "marking-definition"))
    joins = frozenset({"mitigates"})

    def items(self, item: StixObject, file: FetchedFile, locator: str) -> Iterator[Item]:
        if not isinstance(item, Pattern):
            return
        key = _get_key(item)
        if not key:
            yield Drop("no CAPEC id", locator)
            return
        yield self.pattern(
            AttackPattern(
                key=key,
                name=item.name,
                status="Deprecated" if item.status is not Status.ACTIVE else item.x_capec_status,
                description=clean_fragment(item.description or ""),
                extended=clean_fragment(item.x_capec_extended_description),
                prerequisites=_clean_fragments(item.x_capec_prerequisites),
                steps=list(parse_steps(item.x_capec_execution_flow)),
                skills=[
                    (level, clean_fragment(text or ""))
                    for level, text in item.x_capec_skills_required.items()
                ],
                resources=_clean_fragments(item.x_capec_resources_required),
                likelihood=item.x_capec_likelihood_of_attack,
                severity=item.x_capec_typical_severity,
                relations=list(self._relations(item)),
                cwe=_list_references(item, "cwe", "CWE-"),
                techniques=_list_references(item, "attack", "T"),
                taxonomies=[
                    (ref.source_name, ref.external_id or "", ref.description or "")
                    for ref in item.external_references
                    if ref.source_name in _TAXONOMIES
                ],
                consequences=list(_list_consequences(item)),
                mitigations=list(self._mitigations(item)),
                examples=_clean_fragments(item.x_capec_example_instances),
                terms=item.x_capec_alternate_terms,
                domains=item.x_capec_domains,
                published=item.created or "",
            ),
            file,
            locator,
        )

    def _relations(self, item: Pattern) -> Iterator[tuple[str, str]]:
        for field, nature in _NATURE_BY_FIELD.items():
            for ref in getattr(item, field):
                if isinstance(other := self.objects.get(ref), Pattern) and (key := _get_key(other)):
                    yield nature, key

    def _mitigations(self, item: Pattern) -> Iterator[str]:
        """Yield the mitigations in upstream's order, which the number at the end of the name keeps."""
        mitigations = [
            other for _, other in self.joined("mitigates", to=item.id) if isinstance(other, CourseOfAction)
        ]
        for other in sorted(mitigations, key=lambda other: (_get_number(other.name), other.id)):
            yield clean_fragment(other.description or "")


def _get_number(name: str) -> int:
    match = re.search(r"(\d{1,9})$", name)
    return int(match[1]) if match else 0


def _get_key(item: Pattern) -> str:
    ids = (ref.external_id for ref in item.external_references if ref.source_name.lower() == "capec")
    return next((key for key in ids if key), "")


def _list_references(item: Pattern, source: str, prefix: str) -> list[str]:
    """Return the keys in another catalog, with the prefix that its publisher writes."""
    ids = (ref.external_id for ref in item.external_references if ref.source_name.lower() == source)
    return [key if key.startswith(prefix) else prefix + key for key in ids if key]


def _clean_fragments(texts: list[str]) -> list[str]:
    return [clean for text in texts if (clean := clean_fragment(text))]


def _list_consequences(item: Pattern) -> Iterator[tuple[list[str], list[str], str]]:
    """Yield (scopes, impacts, note) as the XML has them.

    STIX maps each scope to its impacts; scopes with the same impacts belong together.
    """
    grouped: dict[tuple[str, ...], list[str]] = {}
    for scope, impacts in item.x_capec_consequences.items():
        grouped.setdefault(tuple(impacts), []).append(scope.replace("_", " "))
    for shared, scopes in grouped.items():
        yield scopes, [prose.clean_line(impact) for impact in shared], ""


def parse_steps(html: str) -> Iterator[Step]:
    """Yield the steps of an execution flow: a heading a phase, an item a step, then a table of techniques."""
    for part in html.split("<h3>")[1:]:
        phase, _, body = part.partition("</h3>")
        for item in body.split("<li>")[1:]:
            text, _, rest = item.partition("</li>")
            techniques = [_strip_wrapper(cell.partition("</td>")[0]) for cell in rest.split("<td>")[1:]]
            if words := _strip_wrapper(text):
                yield Step(
                    prose.clean_line(phase), words, [technique for technique in techniques if technique]
                )


def _strip_wrapper(text: str) -> str:
    """Return clean Markdown without the wrapping tags; the space in `<b>Name: </b>` moves outside."""
    text = re.sub(r"<b>\s*([^<]*?)\s*</b>", r"<b>\1</b> ", _WRAPPER_TAG.sub("", text))
    return clean_fragment(text.strip())
