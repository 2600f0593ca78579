"""The corpus of real code: known vulnerabilities of published packages, and what each package is for.

`packages.csv` holds one row a known place. No code of these packages is in the repository:
`benchmarks.real.fetch` gets it from the package index.

A package has one role, fixed when it entered the list: rules are written with `rules_dev` in sight and
measured on `rules_unseen`; `train`, `model_dev` and `model_test` are the same for triage models.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from securetag.errors import InputError
from securetag.extractors.catalog import Ecosystem

PACKAGES_CSV = Path(__file__).with_name("packages.csv")
#: Packages that all issues together may take from the indexes.
MAX_PACKAGES = 100


class Role(StrEnum):
    """What a package is for."""

    RULES_DEV = "rules_dev"
    RULES_UNSEEN = "rules_unseen"
    TRAIN = "train"
    MODEL_DEV = "model_dev"
    MODEL_TEST = "model_test"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One known vulnerability: where it is in the vulnerable version, and the version that corrects it."""

    ecosystem: Ecosystem
    package: str
    vulnerable_version: str
    fixed_version: str
    #: CVE, GHSA or the index's own identifier.
    advisory: str
    cwe: Annotated[str, msgspec.Meta(pattern=r"^CWE-[1-9]\d*$")]
    #: Below the unpacked package, `/` as separator; empty until the place is located.
    file: str
    #: Line of the sink, or of the construct that the fix changes; empty until the place is located.
    line: Annotated[str, msgspec.Meta(pattern=r"^\d*$")]
    role: Role

    @property
    def is_located(self) -> bool:
        return bool(self.file and self.line)

    @property
    def key(self) -> tuple[Ecosystem, str]:
        """Ecosystem and package: what has a role."""
        return (self.ecosystem, self.package)


def read_places(path: Path = PACKAGES_CSV, *, roles: Sequence[Role] = tuple(Role)) -> list[Place]:
    """Return the rows that have one of `roles`, in the order of the file.

    Raises InputError: wrong columns, a value of another form, a row twice, a package with two roles.
    """
    columns = list(Place.__struct_fields__)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames != columns:
                raise InputError(f"{path.name}: the columns are {reader.fieldnames}, not {columns}")
            places = [msgspec.convert(row, Place) for row in reader]
    except (OSError, UnicodeError, csv.Error, msgspec.ValidationError) as error:
        raise InputError(
            f"{path.name} can't be read: {error}", hint=f"It is a CSV with the columns {', '.join(columns)}."
        ) from error
    _check_roles(places, path.name)
    return [place for place in places if place.role in roles]


def _check_roles(places: Sequence[Place], name: str) -> None:
    roles: dict[tuple[str, str], set[Role]] = defaultdict(set)
    for place in places:
        roles[place.key].add(place.role)
    for (ecosystem, package), values in roles.items():
        if len(values) > 1:
            raise InputError(
                f"{name}: {package} ({ecosystem}) has the roles {', '.join(sorted(values))}",
                hint="A package has one role, so that nothing is measured on code that was read.",
            )
    if len(set(places)) < len(places):
        raise InputError(f"{name}: a row is repeated", hint="Remove it.")
    if len(roles) > MAX_PACKAGES:
        raise InputError(f"{name}: {len(roles)} packages, at most {MAX_PACKAGES}", hint="Remove some.")
