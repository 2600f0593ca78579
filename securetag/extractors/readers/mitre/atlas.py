"""Read MITRE ATLAS from one YAML file: tactics, techniques, mitigations and case studies.

Format: `dist/ATLAS.yaml` of https://github.com/mitre-atlas/atlas-data, with
`dist/schemas/atlas_output_schema.json`. The files that it is generated from hold templates and the tag
`!include`, which no safe loader follows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Item, Reader, describe_error, read_text
from securetag.extractors.text import prose
from securetag.extractors.text.yaml_doc import decode_yaml
from securetag.records import Facts

_SITE = "https://atlas.mitre.org"
_PAGES = {
    "tactic": "tactics",
    "technique": "techniques",
    "mitigation": "mitigations",
    "case-study": "studies",
}


class _Use(msgspec.Struct, frozen=True):
    """The effect of a mitigation on one technique."""

    id: str
    use: str = ""


class _AttackReference(msgspec.Struct, frozen=True):
    id: str = ""


class _Step(msgspec.Struct, frozen=True):
    """One step of a case study."""

    technique: str = ""
    tactic: str = ""
    description: str = ""


class _Link(msgspec.Struct, frozen=True):
    title: str = ""
    url: str = ""


class _Object(msgspec.Struct, frozen=True, rename=lambda name: name.replace("_", "-")):
    """An object of any type, which decides what fields are set."""

    id: str
    name: str
    object_type: str = ""
    description: str = ""
    tactics: list[str] = []
    subtechnique_of: str = ""
    techniques: list[_Use | str] = []
    attack: _AttackReference = msgspec.field(name="ATT&CK-reference", default=_AttackReference())
    created: str = msgspec.field(name="created_date", default="")
    #: Maturity of a technique: feasible, demonstrated, realized.
    maturity: str = ""
    #: Fields of a case study.
    summary: str = ""
    procedure: list[_Step] = []
    target: str = ""
    actor: str = ""
    references: list[_Link] = []


class _Matrix(msgspec.Struct, frozen=True):
    tactics: list[Any] = []
    techniques: list[Any] = []
    mitigations: list[Any] = []


class _Document(_Matrix, frozen=True, rename=lambda name: name.replace("_", "-")):
    """One edition: before version 4 with the lists at the top level, later with them in matrices."""

    id: str = ""
    matrices: list[_Matrix] = []
    case_studies: list[Any] = []


class AtlasReader(Reader):
    """Reads a generated `ATLAS.yaml`."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        document = decode_yaml(read_text(file), _Document)
        objects: list[tuple[str, _Object]] = []
        for locator, kind, raw in _list_raw_objects(document):
            try:
                item = msgspec.convert(raw, _Object, strict=False)
            except (msgspec.ValidationError, RecursionError) as error:
                yield Failure(str(file.path), locator, describe_error(error))
                continue
            objects.append((locator, msgspec.structs.replace(item, object_type=item.object_type or kind)))
        if not objects:
            raise SourceError("no tactic or technique: the generated dist/ATLAS.yaml is what is read")
        names = {item.id: item for _, item in objects}
        uses = _group_advice(item for _, item in objects)
        for locator, item in objects:
            yield self._item(item, names, uses, file, locator)

    def _item(
        self,
        item: _Object,
        names: dict[str, _Object],
        uses: dict[str, list[str]],
        file: FetchedFile,
        locator: str,
    ) -> Item:
        parent = names.get(item.subtechnique_of)
        tactics = item.tactics or (parent.tactics if parent else [])
        related = [item.attack.id] if item.attack.id else []
        related += [use.id if isinstance(use, _Use) else use for use in item.techniques]
        related += [step.technique for step in item.procedure]
        page = _PAGES.get(item.object_type, "techniques")
        return self.record(
            file,
            key=item.id,
            title=f"{parent.name}: {item.name}" if parent else item.name,
            text="\n\n".join(part for part in _render_text(item, names) if part),
            locator=locator,
            url=f"{_SITE}/{page}/{item.id}",
            facts=Facts(
                kind=item.object_type,
                parents=[item.subtechnique_of] if item.subtechnique_of else [],
                related=list(dict.fromkeys(filter(None, related))),
                mitigations=uses.get(item.id, []),
                tactics=[names[key].name if key in names else key for key in tactics],
                levels=[item.maturity] if item.maturity else [],
                references=[link.url for link in item.references if link.url],
                published=item.created[:10] or None,
            ),
        )


def _list_raw_objects(document: _Document) -> Iterator[tuple[str, str, object]]:
    """Yield (JSON pointer, kind, object as decoded)."""
    kinds = (("tactics", "tactic"), ("techniques", "technique"), ("mitigations", "mitigation"))
    for place, matrix in [("", document), *((f"/matrices/{n}", m) for n, m in enumerate(document.matrices))]:
        for name, kind in kinds:
            for index, raw in enumerate(getattr(matrix, name)):
                yield f"{place}/{name}/{index}", kind, raw
    for index, raw in enumerate(document.case_studies):
        yield f"/case-studies/{index}", "case-study", raw


def _group_advice(items: Iterator[_Object]) -> dict[str, list[str]]:
    """Return technique → texts like `Mitigation (AML.M0000): how it helps`."""
    advice_by_technique: dict[str, list[str]] = defaultdict(list)
    for item in items:
        for use in item.techniques:
            if isinstance(use, _Use):
                advice = prose.clean(use.use) or prose.clean(item.description)
                advice_by_technique[use.id].append(f"{item.name} ({item.id}): {advice}")
    return advice_by_technique


def _render_text(item: _Object, names: dict[str, _Object]) -> Iterator[str]:
    yield prose.clean(item.description or item.summary)
    if item.target or item.actor:
        yield "\n".join(
            f"{label}: {prose.clean_line(value)}"
            for label, value in (("Target", item.target), ("Actor", item.actor))
            if value
        )
    steps = []
    for step in item.procedure:
        head = (
            f"{_get_name(step.technique, names)} ({_get_name(step.tactic, names)})"
            if step.tactic
            else _get_name(step.technique, names)
        )
        steps.append(f"### {head}\n\n{prose.clean(step.description)}")
    if steps:
        yield "## Procedure"
        yield from steps
    mitigated = [use for use in item.techniques if isinstance(use, _Use) and use.use.strip()]
    if mitigated:
        yield "## Techniques"
        yield "\n".join(
            f"- {_get_name(use.id, names)} ({use.id}): {prose.clean_line(use.use)}" for use in mitigated
        )


def _get_name(key: str, names: dict[str, _Object]) -> str:
    return names[key].name if key in names else key
