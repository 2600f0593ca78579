"""`python -m benchmarks.real.labels [ROLE…]`: label our scanner's findings in packages with an advisory.

Prints the rows of `findings.csv`, and nothing of the code: labels follow from rules alone, so that the
packages of `model_test` needn't be read by anybody.

- `advisory`, a true positive: in the vulnerable version, of the advisory's CWE family, in a function (or at
  a top level) whose text the fix changed.
- `fixed`, a false positive: the same in the fixed version.
- `unreported`, a false positive: in the vulnerable version, and in code that the fix left alone, or of
  another family. Nobody reported it in a package with a security process, which is a presumption: some of
  these are vulnerabilities that nobody found.

Scanned are the files that the fix changed, and at most MAX_OTHER_FILES others in the order of a digest of
their names. At most MAX_PER_RULE findings of one rule, package and reason are taken, in the same order: a
rule that is noisy in one package isn't the whole set.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from benchmarks.real.corpus import Place, Role, read_places
from benchmarks.real.fetch import fetch_package
from benchmarks.rules.scans import scan_package
from securetag.errors import InputError, ToolError
from securetag.extractors.catalog import Ecosystem
from securetag.records import Finding
from securetag.scanning.evidence import family_of
from securetag.scanning.identity.scopes import Scope, enclosing, scopes
from securetag.scanning.languages import language_of
from securetag.system.hashing import hash_bytes

FINDINGS_CSV = Path(__file__).with_name("findings.csv")
#: Suffixes of the files that are scanned.
SUFFIXES = frozenset({".py", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx"})
#: Folders that aren't the package's own code.
OTHER_FOLDERS = frozenset({"test", "tests", "node_modules", "vendor", "libs"})
MAX_OTHER_FILES = 60
MAX_PER_RULE = 8
MAX_FILE_BYTES = 200_000

Reason = Literal["advisory", "fixed", "unreported"]


class LabeledFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of one version of a package, with its label and the rule that gave it."""

    ecosystem: Ecosystem
    package: str
    version: str
    #: Below the unpacked package, `/` as separator.
    file: str
    line: int
    cwe: str
    label: Literal["true_positive", "false_positive"]
    reason: Reason


def read_findings(path: Path = FINDINGS_CSV, *, roles: Sequence[Role] = tuple(Role)) -> list[LabeledFinding]:
    """Return the labeled findings of packages that have one of `roles`, in the order of the file.

    Raises InputError: wrong columns, or a value of another form.
    """
    packages = {place.key for place in read_places(roles=roles)}
    columns = list(LabeledFinding.__struct_fields__)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames != columns:
                raise InputError(f"{path.name}: the columns are {reader.fieldnames}, not {columns}")
            rows = [msgspec.convert(row, LabeledFinding, strict=False) for row in reader]
    except (OSError, UnicodeError, csv.Error, msgspec.ValidationError) as error:
        raise InputError(
            f"{path.name} can't be read: {error}", hint=f"It is a CSV with the columns {', '.join(columns)}."
        ) from error
    return [row for row in rows if (row.ecosystem, row.package) in packages]


def label_package(places: Sequence[Place]) -> Iterator[LabeledFinding]:
    """Yield the labeled findings of one pair of versions; `places` are what its advisories say.

    Raises ToolError where a version can't be fetched or scanned.
    """
    first = places[0]
    before, after = (
        fetch_package(first.ecosystem, first.package, version)
        for version in (first.vulnerable_version, first.fixed_version)
    )
    families = {family_of(place.cwe) for place in places}
    changed = sorted(
        name
        for name in _list_sources(before) & _list_sources(after)
        if _read(before / name) != _read(after / name)
    )
    others = sorted(_list_sources(before) - set(changed), key=lambda name: hash_bytes(name.encode()))
    counts: Counter[tuple[str, Reason]] = Counter()
    for version, root, peer, files in (
        (first.vulnerable_version, before, after, [*changed, *others[:MAX_OTHER_FILES]]),
        (first.fixed_version, after, before, changed),
    ):
        if not files:
            continue
        findings = scan_package(first.ecosystem, first.package, version, files).findings
        for finding in sorted(
            findings, key=lambda found: hash_bytes(f"{found.path}:{found.start_line}".encode())
        ):
            is_advisory = family_of(finding.cwe) in families and is_changed(finding, root, peer)
            reason: Reason = "advisory" if is_advisory else "unreported"
            if version == first.fixed_version:
                if not is_advisory:
                    continue
                reason = "fixed"
            counts[finding.rule_id, reason] += 1
            if counts[finding.rule_id, reason] <= MAX_PER_RULE:
                yield LabeledFinding(
                    ecosystem=first.ecosystem,
                    package=first.package,
                    version=version,
                    file=finding.path,
                    line=finding.start_line,
                    cwe=finding.cwe,
                    label="true_positive" if reason == "advisory" else "false_positive",
                    reason=reason,
                )


def is_changed(finding: Finding, root: Path, peer: Path) -> bool:
    """Return whether the function that holds a finding has another text in the other version, or is absent.

    At the top level of a file the flagged lines are compared instead.
    """
    code, other = _parse(root / finding.path), _parse(peer / finding.path)
    if code.text == other.text:
        return False
    scope = enclosing(code.scopes, finding.start_line, finding.end_line)
    if scope is None or scope.kind == "class":
        return "\n".join(code.lines[finding.start_line - 1 : finding.end_line]) not in other.text
    texts = {_text_of(peer_scope, other) for peer_scope in other.scopes if peer_scope.name == scope.name}
    return _text_of(scope, code) not in texts


class _Code(NamedTuple):
    text: str
    lines: list[str]
    scopes: list[Scope]


@lru_cache(maxsize=64)
def _parse(path: Path) -> _Code:
    text = _read(path)
    return _Code(text, text.splitlines(), scopes(text, language_of(path.name) or ""))


def _text_of(scope: Scope, code: _Code) -> str:
    return "\n".join(code.lines[scope.first - 1 : scope.last]).strip()


def _list_sources(root: Path) -> set[str]:
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.suffix in SUFFIXES
        and path.is_file()
        and not path.name.endswith(".min.js")
        and path.stat().st_size <= MAX_FILE_BYTES
        and not OTHER_FOLDERS & set(path.relative_to(root).parts)
    }


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def group_places(places: Iterable[Place]) -> list[list[Place]]:
    """Return the places by pair of versions, in their order."""
    pairs: dict[tuple[str, str, str, str], list[Place]] = {}
    for place in places:
        pairs.setdefault((*place.key, place.vulnerable_version, place.fixed_version), []).append(place)
    return list(pairs.values())


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 where a package couldn't be fetched or scanned; the others are printed."""
    roles = [Role(name) for name in arguments] or [Role.MODEL_DEV, Role.MODEL_TEST]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(LabeledFinding.__struct_fields__)
    failed = 0
    for places in group_places(read_places(roles=roles)):
        try:
            rows = list(label_package(places))
        except ToolError as error:
            print(f"{places[0].package}: {error}", file=sys.stderr)
            failed = 1
            continue
        rows.sort(key=lambda row: (row.version, row.file, row.line, row.cwe))
        writer.writerows(msgspec.structs.astuple(row) for row in rows)
        sys.stdout.flush()
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
