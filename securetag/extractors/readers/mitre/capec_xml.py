"""Read CAPEC's XML catalog (`capec_v3.9.xml`).

Schema: https://capec.mitre.org/data/xsd/ap_schema_latest.xsd (namespace http://capec.mitre.org/capec-3);
read by local names, so that a change of the namespace's version needs no change here.
"""

from __future__ import annotations

from collections.abc import Iterator

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, describe_error
from securetag.extractors.readers.mitre.capec import AttackPattern, CapecReader, Step
from securetag.extractors.readers.mitre.cwe import clean_prose
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
    """Reads an `Attack_Pattern_Catalog` of any size entry by entry."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        for entry in iter_entries(file.path, _ROOT, ("Attack_Pattern", *_GROUPS)):
            name = get_name(entry)
            locator = f"/{_ROOT}/{get_name(entry.getparent())}/{name}[@ID='{entry.get('ID')}']"
            if name in _GROUPS:
                yield Drop(f"a {_GROUPS[name]} groups attack patterns and is none", locator)
                continue
            try:
                yield self.pattern(_make_pattern(entry), file, locator)
            except (SourceError, KeyError) as error:
                yield Failure(str(file.path), locator, describe_error(error))


def _make_pattern(entry: Element) -> AttackPattern:
    taxonomy_mappings = find_children(entry, "Taxonomy_Mappings", "Taxonomy_Mapping")
    return AttackPattern(
        key=f"CAPEC-{entry.attrib['ID']}",
        name=entry.attrib["Name"],
        status=entry.get("Status") or "",
        description=_clean_prose(find_child(entry, "Description")),
        extended=_clean_prose(find_child(entry, "Extended_Description")),
        prerequisites=_list_prose(entry, "Prerequisites", "Prerequisite"),
        steps=[_make_step(child) for child in find_children(entry, "Execution_Flow", "Attack_Step")],
        skills=[
            (child.get("Level") or "", _clean_prose(child))
            for child in find_children(entry, "Skills_Required", "Skill")
        ],
        resources=_list_prose(entry, "Resources_Required", "Resource"),
        likelihood=get_child_text(entry, "Likelihood_Of_Attack"),
        severity=get_child_text(entry, "Typical_Severity"),
        relations=[
            (child.get("Nature") or "", f"CAPEC-{child.get('CAPEC_ID')}")
            for child in find_children(entry, "Related_Attack_Patterns", "Related_Attack_Pattern")
        ],
        cwe=[
            f"CWE-{child.get('CWE_ID')}"
            for child in find_children(entry, "Related_Weaknesses", "Related_Weakness")
        ],
        techniques=[
            f"T{number}"
            for child in taxonomy_mappings
            if child.get("Taxonomy_Name") == "ATTACK"
            and (number := get_child_text(child, "Entry_ID").removeprefix("T"))
        ],
        taxonomies=[
            (taxonomy, _format_entry(taxonomy, child), get_child_text(child, "Entry_Name"))
            for child in taxonomy_mappings
            if (taxonomy := child.get("Taxonomy_Name") or "")
        ],
        consequences=[
            (list_texts(child, "Scope"), list_texts(child, "Impact"), to_markdown(find_child(child, "Note")))
            for child in find_children(entry, "Consequences", "Consequence")
        ],
        mitigations=_list_prose(entry, "Mitigations", "Mitigation"),
        examples=_list_prose(entry, "Example_Instances", "Example"),
        terms=list_texts(entry, "Alternate_Terms", "Alternate_Term", "Term"),
        published=next(iter(list_texts(entry, "Content_History", "Submission", "Submission_Date")), ""),
    )


def _format_entry(taxonomy: str, mapping: Element) -> str:
    """Return the entry's id; ATT&CK's with the `T` that the XML leaves out."""
    entry = get_child_text(mapping, "Entry_ID")
    return f"T{entry.removeprefix('T')}" if taxonomy == "ATTACK" and entry else entry


def _make_step(step: Element) -> Step:
    return Step(
        get_child_text(step, "Phase"),
        _clean_prose(find_child(step, "Description")),
        _list_prose(step, "Technique"),
    )


def _clean_prose(element: Element | None) -> str:
    return clean_prose(to_markdown(element))


def _list_prose(element: Element, *path: str) -> list[str]:
    return [clean for element in find_children(element, *path) if (clean := _clean_prose(element))]
