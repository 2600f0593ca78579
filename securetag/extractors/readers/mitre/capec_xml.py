"""CAPEC as its XML catalog (`capec_v3.9.xml`).

Schema: https://capec.mitre.org/data/xsd/ap_schema_latest.xsd (namespace http://capec.mitre.org/capec-3);
read by local names, so that a change of the namespace's version needs no change here.
"""

from __future__ import annotations

from collections.abc import Iterator

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, reason_of
from securetag.extractors.readers.mitre.capec import AttackPattern, CapecReader, Step
from securetag.extractors.readers.mitre.cwe import tidy_prose
from securetag.extractors.text.xhtml import to_markdown
from securetag.extractors.text.xml_doc import (
    Element,
    find_child,
    find_children,
    get_child_text,
    get_name,
    iter_entries,
    list_texts,
)

_ROOT = "Attack_Pattern_Catalog"
_GROUPS = {"Category": "category", "View": "view"}


class CapecXmlReader(CapecReader):
    """Reads an `Attack_Pattern_Catalog` entry by entry, whatever its size."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        for entry in iter_entries(file.path, _ROOT, ("Attack_Pattern", *_GROUPS)):
            name = get_name(entry)
            locator = f"/{_ROOT}/{get_name(entry.getparent())}/{name}[@ID='{entry.get('ID')}']"
            if name in _GROUPS:
                yield Drop(f"a {_GROUPS[name]} groups attack patterns and is none", locator)
                continue
            try:
                yield self.pattern(_pattern(entry), file, locator)
            except (SourceError, KeyError) as error:
                yield Failure(str(file.path), locator, reason_of(error))


def _pattern(entry: Element) -> AttackPattern:
    mapped = find_children(entry, "Taxonomy_Mappings", "Taxonomy_Mapping")
    return AttackPattern(
        key=f"CAPEC-{entry.attrib['ID']}",
        name=entry.attrib["Name"],
        status=entry.get("Status") or "",
        description=_prose(find_child(entry, "Description")),
        extended=_prose(find_child(entry, "Extended_Description")),
        prerequisites=_proses(entry, "Prerequisites", "Prerequisite"),
        steps=[_step(found) for found in find_children(entry, "Execution_Flow", "Attack_Step")],
        skills=[
            (found.get("Level") or "", _prose(found))
            for found in find_children(entry, "Skills_Required", "Skill")
        ],
        resources=_proses(entry, "Resources_Required", "Resource"),
        likelihood=get_child_text(entry, "Likelihood_Of_Attack"),
        severity=get_child_text(entry, "Typical_Severity"),
        relations=[
            (found.get("Nature") or "", f"CAPEC-{found.get('CAPEC_ID')}")
            for found in find_children(entry, "Related_Attack_Patterns", "Related_Attack_Pattern")
        ],
        cwe=[
            f"CWE-{found.get('CWE_ID')}"
            for found in find_children(entry, "Related_Weaknesses", "Related_Weakness")
        ],
        techniques=[
            f"T{number}"
            for found in mapped
            if found.get("Taxonomy_Name") == "ATTACK"
            and (number := get_child_text(found, "Entry_ID").removeprefix("T"))
        ],
        consequences=[
            (list_texts(found, "Scope"), list_texts(found, "Impact"), to_markdown(find_child(found, "Note")))
            for found in find_children(entry, "Consequences", "Consequence")
        ],
        mitigations=_proses(entry, "Mitigations", "Mitigation"),
        examples=_proses(entry, "Example_Instances", "Example"),
        terms=list_texts(entry, "Alternate_Terms", "Alternate_Term", "Term"),
        published=next(iter(list_texts(entry, "Content_History", "Submission", "Submission_Date")), ""),
    )


def _step(found: Element) -> Step:
    return Step(
        get_child_text(found, "Phase"), _prose(find_child(found, "Description")), _proses(found, "Technique")
    )


def _prose(element: Element | None) -> str:
    return tidy_prose(to_markdown(element))


def _proses(element: Element, *path: str) -> list[str]:
    return [clean for found in find_children(element, *path) if (clean := _prose(found))]
