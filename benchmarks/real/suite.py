"""Write the development set of real findings as an evaluation suite.

`python -m benchmarks.real.suite [FOLDER]`: the code comes from the package indexes, of each package the
files that a finding is in. A package that can't be had is left out, and said so.
"""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.real.development import JudgedFinding, name_folder, read_development
from benchmarks.real.fetch import fetch_package
from securetag.datasets.realism.external import LABELS
from securetag.errors import ToolError
from securetag.extractors.catalog import Ecosystem
from securetag.settings import get_settings

#: (ecosystem, package, version) → the folder with its code. Raises ToolError where it can't be had.
FetchPackage = Callable[[Ecosystem, str, str], Path]


def write_suite(folder: Path, findings: Sequence[JudgedFinding], fetch: FetchPackage = fetch_package) -> int:
    """Write the suite unless it is there, and return the number of findings; a case is a package.

    Raises ToolError where no package at all can be had.
    """
    if (folder / LABELS).is_file():
        with (folder / LABELS).open(encoding="utf-8", newline="") as file:
            return sum(1 for _ in csv.DictReader(file))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".draft-") as name:
        draft = Path(name) / folder.name
        draft.mkdir()
        rows = _copy_files(draft, findings, fetch)
        with (draft / LABELS).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["case", "file", "line", "cwe", "is_vulnerable"])
            writer.writerows(rows)
        draft.rename(folder)
    return len(rows)


def _copy_files(
    folder: Path, findings: Sequence[JudgedFinding], fetch: FetchPackage
) -> list[tuple[str, str, int, str, str]]:
    """Copy each file that a finding is in, and return the rows of the labels."""
    missing: set[tuple[Ecosystem, str, str]] = set()
    rows = []
    for finding in findings:
        version = (finding.ecosystem, finding.package, finding.version)
        if version in missing:
            continue
        try:
            code = fetch(*version)
        except ToolError as error:
            missing.add(version)
            print(f"left out: {error}", file=sys.stderr)
            continue
        file = f"{name_folder(finding.package)}/{finding.version}/{finding.file}"
        if not (folder / file).is_file():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(code / finding.file, folder / file)
        is_vulnerable = "true" if finding.label == "true_positive" else "false"
        rows.append((finding.package, file, finding.line, finding.cwe, is_vulnerable))
    if not rows:
        raise ToolError(
            "no package of the development set can be had",
            hint="The demo runs without it and says so; a package index has to be in reach.",
        )
    return rows


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else get_settings().home / "suites" / "real"
    try:
        print(f"{write_suite(target, read_development())} labeled findings in {target}")
    except ToolError as error:
        sys.exit(f"{error}. {error.hint}")
