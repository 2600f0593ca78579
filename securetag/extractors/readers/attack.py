"""MITRE ATT&CK (Enterprise, Mobile, ICS) in STIX → techniques, mitigations and tactics.

Before 18 a technique tells its detection itself or through data components; from 18 on through
detection strategies and their analytics. All are joined, whichever a file has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from securetag.extractors.fetch import FetchedFile
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.readers.stix import Reference, StixObject, StixReader, text_of
from securetag.records import Facts, Status

_KINDS = {"attack-pattern": "technique", "course-of-action": "mitigation", "x-mitre-tactic": "tactic"}
#: They only serve the objects above.
_STRUCTURE = {
    "identity", "marking-definition", "x-mitre-matrix", "x-mitre-collection", "x-mitre-data-source",
    "x-mitre-data-component", "x-mitre-detection-strategy", "x-mitre-analytic",
}  # fmt: skip
#: `mitre-attack`, `mitre-mobile-attack`, `mitre-ics-attack`.
_OWN = re.compile(r"mitre-(\w+-)?attack")


class AttackReader(StixReader):
    """Reads ATT&CK bundles of any version, one object a file or all in one."""

    joins = frozenset({"mitigates", "subtechnique-of", "revoked-by", "detects"})

    def items(self, item: StixObject, file: FetchedFile, locator: str) -> Iterator[Item]:
        if item.type in _STRUCTURE:
            return
        kind, own = _KINDS.get(item.type), own_reference(item)
        if kind is None:
            yield Drop(f"{item.type}: reference data on actors and tools, not guidance", locator)
            return
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

    def _title(self, item: StixObject) -> str:
        """A sub-technique's name says little without its parent's."""
        parents = [parent.name for _, parent in self.joined_from("subtechnique-of", of=item.id)]
        return f"{parents[0]}: {item.name}" if parents else item.name

    def _facts(self, item: StixObject, kind: str, key: str) -> Facts:
        parents = [_key(parent) for _, parent in self.joined_from("subtechnique-of", of=item.id)]
        if not parents and kind == "technique" and "." in key:
            parents = [key.split(".", maxsplit=1)[0]]
        return Facts(
            kind=kind,
            parents=[parent for parent in parents if parent],
            related=[key for _, other in self.joined_from("revoked-by", of=item.id) if (key := _key(other))],
            mitigations=list(self._mitigations(item)),
            detections=list(dict.fromkeys(self._detections(item))),
            platforms=list(item.x_mitre_platforms or []),
            tactics=[phase.phase_name for phase in item.kill_chain_phases],
        )

    def _mitigations(self, item: StixObject) -> Iterator[str]:
        """`Name (M1234): advice for this technique`; the mitigation's own text where there is none."""
        found = [
            (_key(other), other.name, text_of(relation.description) or text_of(other.description))
            for relation, other in self.joined("mitigates", to=item.id)
            if other.status is Status.ACTIVE
        ]
        for key, name, advice in sorted(set(found)):
            if advice:
                yield f"{name} ({key}): {advice}"

    def _detections(self, item: StixObject) -> Iterator[str]:
        if own := text_of(item.x_mitre_detection):
            yield own
        found = []
        for relation, other in self.joined("detects", to=item.id):
            if other.status is not Status.ACTIVE:
                continue
            analytics = [self.objects.get(ref) for ref in other.x_mitre_analytic_refs]
            texts = [text_of(a.description) for a in analytics if a] or [text_of(relation.description)]
            found += [f"{other.name}: {text}" for text in texts if text]
        yield from sorted(found)


def own_reference(item: StixObject) -> Reference | None:
    """ATT&CK's own id of an object; a mitigation's T-number counts, a CAPEC reference doesn't."""
    return next((ref for ref in item.external_references if _OWN.fullmatch(ref.source_name)), None)


def _key(item: StixObject) -> str:
    own = own_reference(item)
    return (own.external_id if own else None) or ""
