"""MITRE ATT&CK (Enterprise, Mobile, ICS) and ATLAS in STIX → techniques, mitigations and tactics.

Before 18 a technique tells its detection itself or through data components; from 18 on through
detection strategies and their analytics. All are joined, whichever a file has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.readers.stix import (
    Kinds,
    Reference,
    Relationship,
    StixObject,
    StixReader,
    Thing,
    day_of,
    text_of,
)
from securetag.records import Facts, Status


class Phase(msgspec.Struct, frozen=True, gc=False):
    """A kill chain phase; ATT&CK's tactics by short name."""

    phase_name: str = ""


class Technique(Thing, frozen=True, gc=False, kw_only=True, tag="attack-pattern"):
    """A technique or, with a parent, a sub-technique."""

    kill_chain_phases: list[Phase] = []
    x_mitre_detection: str | None = None
    x_mitre_platforms: list[str] | None = None


class Mitigation(Thing, frozen=True, gc=False, kw_only=True, tag="course-of-action"):
    """Advice; how it helps against one technique stands in the relationship."""


class Tactic(Thing, frozen=True, gc=False, kw_only=True, tag="x-mitre-tactic"):
    """An adversary's aim."""


class DataComponent(Thing, frozen=True, gc=False, kw_only=True, tag="x-mitre-data-component"):
    """What can be observed; until 17 it detects techniques."""


class DetectionStrategy(Thing, frozen=True, gc=False, kw_only=True, tag="x-mitre-detection-strategy"):
    """From 18 on: a set of analytics that detect a technique."""

    x_mitre_analytic_refs: list[str] = []


class Analytic(Thing, frozen=True, gc=False, kw_only=True, tag="x-mitre-analytic"):
    """How to detect on one platform."""


_KINDS: dict[type[StixObject], str] = {
    Technique: "technique", Mitigation: "mitigation", Tactic: "tactic",
}  # fmt: skip
#: They only serve the objects above.
_STRUCTURE = ("identity", "marking-definition", "x-mitre-matrix", "x-mitre-collection", "x-mitre-data-source")
_ACTORS = ("campaign", "intrusion-set", "malware", "threat-actor", "tool", "x-mitre-asset")
#: `mitre-attack`, `mitre-mobile-attack`, `mitre-ics-attack`, `mitre-atlas`.
_OWN = re.compile(r"mitre-((\w+-)?attack|atlas)")


class AttackReader(StixReader):
    """Reads ATT&CK bundles of any version, one object a file or all in one."""

    kinds = Kinds(
        Relationship, *_KINDS, DataComponent, DetectionStrategy, Analytic, bare=[*_STRUCTURE, *_ACTORS]
    )
    joins = frozenset({"mitigates", "subtechnique-of", "revoked-by", "detects"})

    def items(self, item: StixObject, file: FetchedFile, locator: str) -> Iterator[Item]:
        kind = _KINDS.get(type(item))
        if kind is None or not isinstance(item, Thing):
            if item.type in _ACTORS:
                yield Drop(f"{item.type}: reference data on actors and tools, not guidance", locator)
            return
        own = own_reference(item)
        if own is None or own.external_id is None:
            yield Drop("no ATT&CK id", locator)
            return
        yield self.record(
            file,
            key=own.external_id,
            title=self._title(item),
            text=text_of(item.description),
            locator=locator,
            url=own.url or "",
            facts=self._facts(item, kind, own.external_id),
            status=item.status,
        )

    def _title(self, item: Thing) -> str:
        """A sub-technique's name says little without its parent's."""
        parents = [
            parent.name
            for _, parent in self.joined_from("subtechnique-of", of=item.id)
            if isinstance(parent, Thing)
        ]
        return f"{parents[0]}: {item.name}" if parents else item.name

    def _facts(self, item: Thing, kind: str, key: str) -> Facts:
        parents = [_key(parent) for _, parent in self.joined_from("subtechnique-of", of=item.id)]
        if not parents and kind == "technique" and (whole := re.fullmatch(r"(.*T\d+)\.\d+", key)):
            parents = [whole[1]]  # `T1059.001` in a file that doesn't hold the relationship
        technique = item if isinstance(item, Technique) else None
        return Facts(
            kind=kind,
            parents=[parent for parent in parents if parent],
            related=[key for _, other in self.joined_from("revoked-by", of=item.id) if (key := _key(other))],
            mitigations=list(self._mitigations(item)) if technique else [],
            detections=list(dict.fromkeys(self._detections(technique))) if technique else [],
            platforms=list(technique.x_mitre_platforms or []) if technique else [],
            tactics=[phase.phase_name for phase in technique.kill_chain_phases] if technique else [],
            published=day_of(item.created),
        )

    def _mitigations(self, item: Thing) -> Iterator[str]:
        """`Name (M1234): advice for this technique`; the mitigation's own text where there is none."""
        found = {
            (_key(other), other.name, text_of(relation.description) or text_of(other.description))
            for relation, other in self.joined("mitigates", to=item.id)
            if isinstance(other, Mitigation) and other.status is Status.ACTIVE
        }
        for key, name, advice in sorted(found):
            if advice:
                yield f"{name} ({key}): {advice}"

    def _detections(self, item: Technique) -> Iterator[str]:
        if own := text_of(item.x_mitre_detection):
            yield own
        found = []
        for relation, other in self.joined("detects", to=item.id):
            if not isinstance(other, DetectionStrategy | DataComponent) or other.status is not Status.ACTIVE:
                continue
            refs = other.x_mitre_analytic_refs if isinstance(other, DetectionStrategy) else []
            analytics = [self.objects.get(ref) for ref in refs]
            texts = [text_of(a.description) for a in analytics if isinstance(a, Analytic)]
            found += [f"{other.name}: {text}" for text in texts or [text_of(relation.description)] if text]
        yield from sorted(found)


def own_reference(item: Thing) -> Reference | None:
    """ATT&CK's own id of an object; a mitigation's T-number counts, a CAPEC reference doesn't."""
    return next((ref for ref in item.external_references if _OWN.fullmatch(ref.source_name)), None)


def _key(item: StixObject) -> str:
    own = own_reference(item) if isinstance(item, Thing) else None
    return (own.external_id if own else None) or ""
