"""The development set of real findings: labels that people gave, by reading the code.

`judged.csv` holds findings of packages of role `model_dev`, `first_findings.csv` those of `rules_dev`. No
model learns on either; rules were written with the second in sight. A finding is true where a value that an
outsider controls reaches the construct and nothing makes it harmless. That no advisory names a finding says
little: of 60 judged ones the labels by rule (`findings.csv`) were wrong in 7.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks.real.fetch import fetch_package
from benchmarks.real.first_findings import read_labels
from securetag.errors import InputError
from securetag.extractors.catalog import Ecosystem
from securetag.scanning.evidence import family_of

JUDGED_CSV = Path(__file__).with_name("judged.csv")
#: The weakness that a prompt names for a family of `first_findings.csv`.
_CWE_OF_FAMILY = {
    family_of(cwe): cwe
    for cwe in (
        *("CWE-22", "CWE-78", "CWE-79", "CWE-89", "CWE-90", "CWE-94", "CWE-113", "CWE-117", "CWE-327"),
        *("CWE-502", "CWE-601", "CWE-611", "CWE-918", "CWE-1321", "CWE-1333"),
    )
}


class JudgedFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of a package's version, and what a person says of it."""

    ecosystem: Ecosystem
    package: str
    version: str
    #: Below the unpacked package, `/` as separator.
    file: str
    line: int
    cwe: str
    label: Literal["true_positive", "false_positive"]
    #: One line: facts, no code.
    reason: str

    @property
    def place(self) -> tuple[Ecosystem, str, str, str, int, str]:
        """All that names the finding."""
        return self.ecosystem, self.package, self.version, self.file, self.line, self.cwe


def read_judged(path: Path = JUDGED_CSV) -> list[JudgedFinding]:
    """Return the judged findings of `model_dev`, in the order of the file.

    Raises InputError: another form, a finding twice, no reason.
    """
    columns = list(JudgedFinding.__struct_fields__)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [
                msgspec.convert(row, JudgedFinding, strict=False) for row in csv.DictReader(file, strict=True)
            ]
    except (OSError, UnicodeError, csv.Error, msgspec.ValidationError) as error:
        raise InputError(
            f"{path.name} can't be read: {error}", hint=f"It is a CSV with the columns {', '.join(columns)}."
        ) from error
    places = [row.place for row in rows]
    if len(set(places)) < len(places) or not all(row.reason for row in rows):
        raise InputError(f"{path.name}: a finding stands twice or has no reason", hint="One row a finding.")
    return rows


def read_development() -> list[JudgedFinding]:
    """Return all findings that people judged, of `model_dev` and then of `rules_dev`."""
    return read_judged() + [
        JudgedFinding(
            ecosystem=ecosystem,
            package=package,
            version=version,
            file=file,
            line=line,
            cwe=_CWE_OF_FAMILY.get(family, family),
            label="true_positive" if is_true else "false_positive",
            reason="first finding",
        )
        for (ecosystem, package, version, file, line, family), is_true in read_labels().items()
    ]


def copy_labeled(findings: Sequence[JudgedFinding], folder: Path) -> Path:
    """Copy the packages of findings into `folder` and return the CSV of their labels.

    The first folder of a label's file is the package, so that its versions are one group. Raises ToolError
    where the index hasn't got one of them.
    """
    for ecosystem, package, version in sorted(
        {(row.ecosystem, row.package, row.version) for row in findings}
    ):
        shutil.copytree(fetch_package(ecosystem, package, version), folder / name_folder(package) / version)
    labels = folder / "labels.csv"
    with labels.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "line", "label", "cwe"])
        for row in findings:
            writer.writerow(
                [f"{name_folder(row.package)}/{row.version}/{row.file}", row.line, row.label, row.cwe]
            )
    return labels


def name_folder(package: str) -> str:
    """Return a package's name as a folder's; npm's scopes have a slash."""
    return package.replace("/", "__")
