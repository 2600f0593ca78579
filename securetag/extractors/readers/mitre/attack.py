"""Read MITRE ATT&CK (Enterprise, Mobile, ICS) and ATLAS in STIX: techniques, mitigations and tactics.

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
    clean_description,
    get_day,
)
from securetag.records import Facts, Status


class Phase(msgspec.Struct, frozen=True, gc=False):
    """A kill chain phase; in ATT&CK a tactic by its short name."""

    phase_name: str = ""


class Technique(Thing, frozen=True, gc=False, kw_only=True, tag="attack-pattern"):
    """A technique or, with a parent, a sub-technique."""

    kill_chain_phases: list[Phase] = []
    x_mitre_detection: str | None = None
    x_mitre_platforms: list[str] | None = None


class Mitigation(Thing, frozen=True, gc=False, kw_only=True, tag="course-of-action"):
    """A mitigation; its relationship to a technique has the advice for that technique."""


class Tactic(Thing, frozen=True, gc=False, kw_only=True, tag="x-mitre-tactic"):
    """An adversary's goal."""


class Actor(Thing, frozen=True, gc=False, kw_only=True, tag="intrusion-set"):
    """A group whose use of techniques is described."""


class Campaign(Actor, frozen=True, gc=False, kw_only=True, tag="campaign"):
    """A series of intrusions."""


class Malware(Actor, frozen=True, gc=False, kw_only=True, tag="malware"):
    """Software of an adversary."""


class Tool(Actor, frozen=True, gc=False, kw_only=True, tag="tool"):
    """Software that an adversary uses and others do too."""


class DataComponent(Thing, frozen=True, gc=False, kw_only=True, tag="x-mitre-data-component"):
    """An observable property; until version 17 it detects techniques."""


class DetectionStrategy(Thing, frozen=True, gc=False, kw_only=True, tag="x-mitre-detection-strategy"):
    """A set of analytics that detect a technique, from version 18 on."""

    x_mitre_analytic_refs: list[str] = []


class Analytic(Thing, frozen=True, gc=False, kw_only=True, tag="x-mitre-analytic"):
    """A detection on one platform."""


_KINDS: dict[type[StixObject], str] = {
    Technique: "technique",
    Mitigation: "mitigation",
    Tactic: "tactic",
}
#: Types of objects that only serve the ones above.
_AUXILIARY_TYPES = (
    "identity",
    "marking-definition",
    "x-mitre-matrix",
    "x-mitre-collection",
    "x-mitre-data-source",
)
_UNREAD_ACTOR_TYPES = ("threat-actor", "x-mitre-asset")
_ACTOR_TYPES = ("campaign", "intrusion-set", "malware", "tool", *_UNREAD_ACTOR_TYPES)
#: `mitre-attack`, `mitre-mobile-attack`, `mitre-ics-attack`, `mitre-atlas`.
_ATTACK_SOURCE = re.compile(r"mitre-((\w+-)?attack|atlas)")


class AttackReader(StixReader):
    """Reads ATT&CK bundles of any version, one object a file or all in one."""

    kinds = Kinds(
        Relationship,
        *_KINDS,
        DataComponent,
        DetectionStrategy,
        Analytic,
        Actor,
        Campaign,
        Malware,
        Tool,
        bare=[*_AUXILIARY_TYPES, *_UNREAD_ACTOR_TYPES],
    )
    joins = frozenset({"mitigates", "subtechnique-of", "revoked-by", "detects", "uses"})

    def items(self, item: StixObject, file: FetchedFile, locator: str) -> Iterator[Item]:
        kind = _KINDS.get(type(item))
        if kind is None or not isinstance(item, Thing):
            if item.type in _ACTOR_TYPES:
                yield Drop(f"{item.type}: reference data on actors and tools, not guidance", locator)
            return
        reference = find_attack_reference(item)
        if reference is None or reference.external_id is None:
            yield Drop("no ATT&CK id", locator)
            return
        yield self.record(
            file,
            key=reference.external_id,
            title=self._title(item),
            text="\n\n".join([clean_description(item.description), *self._succession(item)]).strip(),
            locator=locator,
            url=reference.url or "",
            facts=self._facts(item, kind, reference.external_id),
            status=item.status,
        )

    def _title(self, item: Thing) -> str:
        """Return the object's name; of a sub-technique with its parent's name."""
        parents = [
            parent.name
            for _, parent in self.joined_from("subtechnique-of", of=item.id)
            if isinstance(parent, Thing)
        ]
        return f"{parents[0]}: {item.name}" if parents else item.name

    def _succession(self, item: Thing) -> Iterator[str]:
        """Yield what replaces the object, and what it replaces."""
        for _, other in self.joined_from("revoked-by", of=item.id):
            if isinstance(other, Thing) and (key := _get_key(other)):
                yield f"Revoked: {self._title(other)} ({key}) replaces it."
        replaced = [
            f"{other.name} ({key})"
            for _, other in self.joined("revoked-by", to=item.id)
            if isinstance(other, Thing) and (key := _get_key(other))
        ]
        if replaced:
            yield f"Replaces {', '.join(sorted(set(replaced)))}."

    def _facts(self, item: Thing, kind: str, key: str) -> Facts:
        parents = [_get_key(parent) for _, parent in self.joined_from("subtechnique-of", of=item.id)]
        if not parents and kind == "technique" and (parent_key := re.fullmatch(r"(.*T\d+)\.\d+", key)):
            parents = [parent_key[1]]  # `T1059.001` in a file that doesn't hold the relationship
        technique = item if isinstance(item, Technique) else None
        return Facts(
            kind=kind,
            parents=[parent for parent in parents if parent],
            related=[
                key for _, other in self.joined_from("revoked-by", of=item.id) if (key := _get_key(other))
            ],
            mitigations=list(self._mitigations(item)) if technique else [],
            detections=list(dict.fromkeys(self._detections(technique))) if technique else [],
            observed=list(self._procedures(item)) if technique else [],
            platforms=list(technique.x_mitre_platforms or []) if technique else [],
            tactics=[phase.phase_name for phase in technique.kill_chain_phases] if technique else [],
            published=get_day(item.created),
        )

    def _mitigations(self, item: Thing) -> Iterator[str]:
        """Yield `Name (M1234): advice for this technique`, or the mitigation's description without advice."""
        advice_by_mitigation = {
            (
                _get_key(other),
                other.name,
                clean_description(relation.description) or clean_description(other.description),
            )
            for relation, other in self.joined("mitigates", to=item.id)
            if isinstance(other, Mitigation) and other.status is Status.ACTIVE
        }
        for key, name, advice in sorted(advice_by_mitigation):
            if advice:
                yield f"{name} ({key}): {advice}"

    def _procedures(self, item: Thing) -> Iterator[str]:
        """Yield `APT29 (G0016): what it does`, one for each group, software and campaign that uses it."""
        procedures = {
            (_get_key(other), other.name, text)
            for relation, other in self.joined("uses", to=item.id)
            if isinstance(other, Actor)
            and other.status is Status.ACTIVE
            and (text := clean_description(relation.description))
        }
        for key, name, text in sorted(procedures):
            yield f"{name} ({key}): {text}" if key else f"{name}: {text}"

    def _detections(self, item: Technique) -> Iterator[str]:
        if description := clean_description(item.x_mitre_detection):
            yield description
        texts_by_name = []
        for relation, other in self.joined("detects", to=item.id):
            if not isinstance(other, DetectionStrategy | DataComponent) or other.status is not Status.ACTIVE:
                continue
            refs = other.x_mitre_analytic_refs if isinstance(other, DetectionStrategy) else []
            analytics = [self.objects.get(ref) for ref in refs]
            texts = [clean_description(a.description) for a in analytics if isinstance(a, Analytic)]
            texts_by_name += [
                f"{other.name}: {text}" for text in texts or [clean_description(relation.description)] if text
            ]
        yield from sorted(texts_by_name)


def find_attack_reference(item: Thing) -> Reference | None:
    """Return the reference with the object's ATT&CK id.

    The T-number of a mitigation counts, a CAPEC reference doesn't.
    """
    return next((ref for ref in item.external_references if _ATTACK_SOURCE.fullmatch(ref.source_name)), None)


def _get_key(item: StixObject) -> str:
    reference = find_attack_reference(item) if isinstance(item, Thing) else None
    return (reference.external_id if reference else None) or ""
