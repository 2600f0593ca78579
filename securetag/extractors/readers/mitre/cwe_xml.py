"""CWE as its XML catalog (`cwec_v….xml`), which the package `cwe2` carries too.

Schema: https://cwe.mitre.org/data/xsd/cwe_schema_latest.xsd; read by local names, so that a change
of the namespace's version needs no change here.
"""

from __future__ import annotations

from collections.abc import Iterator

from securetag.errors import SourceError
from securetag.extractors.files import Failure, FetchedFile
from securetag.extractors.readers.base import Item, reason_of
from securetag.extractors.readers.mitre.cwe import CweReader, Group, Mitigation, Weakness, example
from securetag.extractors.readers.xhtml import code, markdown
from securetag.extractors.readers.xml_doc import Element, child, children, entries, name_of, text, texts

_ROOT = "Weakness_Catalog"
_KINDS = {"Weakness": "weakness", "Category": "category", "View": "view"}


class CweXmlReader(CweReader):
    """Reads a `Weakness_Catalog` entry by entry, whatever its size."""

    def groups(self, file: FetchedFile) -> Iterator[Group]:
        for entry in entries(file.path, _ROOT, ("Category", "View")):
            members = children(entry, "Relationships", "Has_Member") + children(
                entry, "Members", "Has_Member"
            )
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


def _weakness(entry: Element, kind: str) -> Weakness:
    platforms = [
        p.get("Name") or p.get("Class") or ""
        for holder in children(entry, "Applicable_Platforms")
        for p in holder
    ]
    description = child(entry, "Description")
    if description is None:
        description = child(entry, "Summary" if kind == "category" else "Objective")
    return Weakness(
        kind=kind,
        id=entry.attrib["ID"],
        name=entry.attrib["Name"],
        status=entry.get("Status") or "",
        description=markdown(description),
        extended=markdown(child(entry, "Extended_Description")),
        background=[markdown(found) for found in children(entry, "Background_Details", "Background_Detail")],
        relations=[
            (found.get("Nature") or "", found.get("CWE_ID") or "", found.get("View_ID") or "")
            for found in children(entry, "Related_Weaknesses", "Related_Weakness")
        ],
        attack_patterns=[
            found.get("CAPEC_ID") or ""
            for found in children(entry, "Related_Attack_Patterns", "Related_Attack_Pattern")
        ],
        platforms=[name for name in platforms if not name.startswith("Not ")],
        terms=texts(entry, "Alternate_Terms", "Alternate_Term", "Term"),
        mitigations=[
            Mitigation(texts(found, "Phase"), text(found, "Strategy"), markdown(child(found, "Description")))
            for found in children(entry, "Potential_Mitigations", "Mitigation")
        ],
        consequences=[
            (texts(found, "Scope"), texts(found, "Impact"), markdown(child(found, "Note")))
            for found in children(entry, "Common_Consequences", "Consequence")
        ],
        detections=[
            (text(found, "Method"), markdown(child(found, "Description")))
            for found in children(entry, "Detection_Methods", "Detection_Method")
        ],
        examples=[
            example([_example_entry(part) for part in found if name_of(part) in _EXAMPLE_PARTS])
            for found in children(entry, "Demonstrative_Examples", "Demonstrative_Example")
        ],
        mapping_usage=next(iter(texts(entry, "Mapping_Notes", "Usage")), ""),
        likelihood=text(entry, "Likelihood_Of_Exploit"),
        published=next(iter(texts(entry, "Content_History", "Submission", "Submission_Date")), ""),
    )


_EXAMPLE_PARTS = {"Intro_Text", "Body_Text", "Example_Code"}


def _example_entry(part: Element) -> tuple[str, str, str]:
    if name_of(part) == "Example_Code":
        return part.get("Nature") or "Code", part.get("Language") or "", code(part)
    return "", "", markdown(part)
