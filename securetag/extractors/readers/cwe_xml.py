"""CWE as its XML catalog (`cwec_v….xml`), which the package `cwe2` carries too.

Schema: https://cwe.mitre.org/data/xsd/cwe_schema_latest.xsd; read by local names, so that a change
of the namespace's version needs no change here.
"""

from __future__ import annotations

from collections.abc import Iterator

from securetag.errors import SourceError
from securetag.extractors.fetch import Failure, FetchedFile
from securetag.extractors.readers.base import Item, reason_of
from securetag.extractors.readers.cwe import CweReader, Group, Mitigation, Weakness, example
from securetag.extractors.readers.xhtml import code, markdown
from securetag.extractors.readers.xml_doc import Element, entries, name_of

_ROOT = "Weakness_Catalog"
_KINDS = {"Weakness": "weakness", "Category": "category", "View": "view"}


class CweXmlReader(CweReader):
    """Reads a `Weakness_Catalog` entry by entry, whatever its size."""

    def groups(self, file: FetchedFile) -> Iterator[Group]:
        for entry in entries(file.path, _ROOT, ("Category", "View")):
            members = _children(entry, "Relationships", "Has_Member") + _children(entry, "Members", "Has_Member")
            yield Group(
                name=entry.get("Name") or "",
                status=entry.get("Status") or "",
                members=[found.get("CWE_ID") or "" for found in members],
            )

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        for entry in entries(file.path, _ROOT, _KINDS):
            name = name_of(entry)
            locator = f"/{_ROOT}/{name_of(entry.getparent())}/{name}[@ID='{entry.get('ID')}']"
            try:
                yield self.item(_weakness(entry, _KINDS[name]), file, locator)
            except (SourceError, KeyError) as error:
                yield Failure(str(file.path), locator, reason_of(error))


def _child(element: Element, name: str) -> Element | None:
    return next((child for child in element if name_of(child) == name), None)


def _children(element: Element, *path: str) -> list[Element]:
    """Grandchildren by local names: the last of `path` inside the ones before."""
    found = [element]
    for name in path:
        found = [child for parent in found for child in parent if name_of(child) == name]
    return found


def _text(element: Element, name: str) -> str:
    child = _child(element, name)
    return " ".join("".join(child.itertext()).split()) if child is not None else ""


def _texts(element: Element, *path: str) -> list[str]:
    return [" ".join("".join(found.itertext()).split()) for found in _children(element, *path)]


def _weakness(entry: Element, kind: str) -> Weakness:
    platforms = [
        p.get("Name") or p.get("Class") or ""
        for holder in _children(entry, "Applicable_Platforms")
        for p in holder
    ]
    description = _child(entry, "Description")
    if description is None:
        description = _child(entry, "Summary" if kind == "category" else "Objective")
    return Weakness(
        kind=kind,
        id=entry.attrib["ID"],
        name=entry.attrib["Name"],
        status=entry.get("Status") or "",
        description=markdown(description),
        extended=markdown(_child(entry, "Extended_Description")),
        background=[markdown(found) for found in _children(entry, "Background_Details", "Background_Detail")],
        relations=[
            (found.get("Nature") or "", found.get("CWE_ID") or "", found.get("View_ID") or "")
            for found in _children(entry, "Related_Weaknesses", "Related_Weakness")
        ],
        attack_patterns=[
            found.get("CAPEC_ID") or ""
            for found in _children(entry, "Related_Attack_Patterns", "Related_Attack_Pattern")
        ],
        platforms=[name for name in platforms if not name.startswith("Not ")],
        terms=_texts(entry, "Alternate_Terms", "Alternate_Term", "Term"),
        mitigations=[
            Mitigation(
                _texts(found, "Phase"), _text(found, "Strategy"), markdown(_child(found, "Description"))
            )
            for found in _children(entry, "Potential_Mitigations", "Mitigation")
        ],
        consequences=[
            (_texts(found, "Scope"), _texts(found, "Impact"), markdown(_child(found, "Note")))
            for found in _children(entry, "Common_Consequences", "Consequence")
        ],
        detections=[
            (_text(found, "Method"), markdown(_child(found, "Description")))
            for found in _children(entry, "Detection_Methods", "Detection_Method")
        ],
        examples=[
            example([_example_entry(part) for part in found if name_of(part) in _EXAMPLE_PARTS])
            for found in _children(entry, "Demonstrative_Examples", "Demonstrative_Example")
        ],
        mapping_usage=next(iter(_texts(entry, "Mapping_Notes", "Usage")), ""),
        published=next(iter(_texts(entry, "Content_History", "Submission", "Submission_Date")), ""),
    )


_EXAMPLE_PARTS = {"Intro_Text", "Body_Text", "Example_Code"}


def _example_entry(part: Element) -> tuple[str, str, str]:
    if name_of(part) == "Example_Code":
        return part.get("Nature") or "Code", part.get("Language") or "", code(part)
    return "", "", markdown(part)
