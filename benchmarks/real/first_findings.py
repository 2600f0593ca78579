"""First findings of applications that a person judged: `first_findings.csv` and `first_findings_rules.csv`.

The corpus names what an advisory names, one to five places of a package, so that a finding which is right
and in no advisory counts as wrong. Here is what somebody who read the code says of the first findings that
are at no known place. A finding is true where a value that a caller can take from outside reaches the
construct and nothing makes it harmless.

`first_findings.csv` has packages that rules were written with in sight, and models are measured on it, too.
`first_findings_rules.csv` measures rules alone: what rules report that are newer than the first sheet, and
the findings of the unseen packages, which were read after the last change of a rule.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

import msgspec

from securetag.errors import InputError
from securetag.extractors.catalog import Ecosystem

LABELS_CSV = Path(__file__).with_name("first_findings.csv")
RULES_LABELS_CSV = Path(__file__).with_name("first_findings_rules.csv")


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says of one finding of a package's version."""

    ecosystem: Ecosystem
    package: str
    version: str
    file: str
    line: int
    #: Of CWE numbers, as `securetag.scanning.evidence.family_of` names it.
    family: str
    is_true: Literal["yes", "no"]
    #: One line: facts, no code.
    reason: str

    @property
    def key(self) -> tuple[Ecosystem, str, str, str, int, str]:
        """All that names the finding."""
        return self.ecosystem, self.package, self.version, self.file, self.line, self.family


#: Whether a finding is true, by `Label.key`.
Labels = dict[tuple[Ecosystem, str, str, str, int, str], bool]


def read_labels(path: Path = LABELS_CSV) -> Labels:
    """Return whether each finding is true. Raises InputError: another form, a finding twice, no reason."""
    labels: Labels = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [msgspec.convert(row, Label, strict=False) for row in csv.DictReader(file, strict=True)]
    except (OSError, UnicodeError, csv.Error, msgspec.ValidationError) as error:
        raise InputError(
            f"{path.name} can't be read: {error}",
            hint=f"It is a CSV with the columns {', '.join(Label.__struct_fields__)}.",
        ) from error
    for row in rows:
        if row.key in labels or not row.reason:
            raise InputError(
                f"{path.name}: {row.file}:{row.line} stands twice or has no reason",
                hint="One row and one reason for a finding.",
            )
        labels[row.key] = row.is_true == "yes"
    return labels


def read_all_labels() -> Labels:
    """Return the labels of both sheets. Raises InputError as `read_labels`, or for a finding in both."""
    labels, others = read_labels(), read_labels(RULES_LABELS_CSV)
    if repeated := sorted(labels.keys() & others.keys()):
        raise InputError(f"both sheets hold {repeated[0]}", hint="One row for a finding.")
    return labels | others
