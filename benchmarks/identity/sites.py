"""Places to track in real code: calls of the kind that our rules flag, found without starting a scanner."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from tree_sitter import Node

from securetag.db.matching import Place
from securetag.records import CodeIdentity
from securetag.scanning.identity.describe import Described
from securetag.scanning.identity.fingerprint import VERSION
from securetag.scanning.identity.inventory import Inventory, digests_of
from securetag.scanning.identity.outside import DescribedPlace, follow_outside
from securetag.scanning.identity.syntax import CALLS, LITERALS, STRINGS, parse, text_of, walk
from securetag.scanning.languages import language_of
from securetag.scanning.snippet import SourceFile

#: A version of a project: path → content.
Project = Mapping[str, bytes]

#: Family → names of calls; each family is a rule of its own.
SINKS: dict[str, frozenset[str]] = {
    "file": frozenset({"open", "remove", "unlink", "rmtree", "makedirs", "listdir", "write_text"}),
    "command": frozenset({"system", "popen", "Popen", "check_output", "check_call", "run", "exec", "spawn"}),
    "code": frozenset({"eval", "compile", "import_module", "__import__", "setattr", "require"}),
    "html": frozenset({"mark_safe", "Markup", "format_html", "render", "html", "append", "after"}),
    "sql": frozenset({"execute", "executemany", "query", "raw"}),
    "url": frozenset({"urlopen", "get", "post", "redirect", "request", "fetch", "ajax"}),
    "data": frozenset({"loads", "load", "parse", "decode", "from_string"}),
}  # fmt: skip
_FAMILY = {name: family for family, names in SINKS.items() for name in names}
CWE = {family: f"CWE-{number}" for number, family in enumerate(SINKS, 9_000)}


@dataclass(frozen=True)
class Site:
    """A flagged call."""

    path: str
    #: Bytes.
    start: int
    end: int
    rule: str


@dataclass(frozen=True)
class Seen:
    """A site as a scan reports it."""

    site: Site
    place: Place
    identity: CodeIdentity


def find_sites(path: str, content: bytes) -> list[Site]:
    """Return the flagged calls of a file, in order."""
    tree = parse(content, language_of(path))
    if tree is None:
        return []
    sites = []
    for node in walk(tree.root_node):
        family = family_of_call(node)
        if family and not any(parent.type == "decorator" for parent in _around(node)):
            sites.append(Site(path, node.start_byte, node.end_byte, family))
    return sites


def family_of_call(node: Node) -> str:
    """Return the family of a call with an argument that isn't constant; empty for anything else."""
    if node.type not in CALLS:
        return ""
    callee, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
    if (
        callee is None
        or arguments is None
        or callee.type not in {"identifier", "attribute", "member_expression"}
    ):
        return ""
    first = next(iter(arguments.named_children), None)
    if first is None or first.type in LITERALS | STRINGS or first.type == "comment":
        return ""
    return family_of_name(text_of(callee).rsplit(".", 1)[-1])


def family_of_name(name: str) -> str:
    """Return the family of calls of this name; empty for a name that isn't flagged."""
    return _FAMILY.get(name, "")


def _around(node: Node) -> Iterator[Node]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def scan(project: Project) -> tuple[list[Seen], Inventory]:
    """Report every site of a project, and list its functions as a worker does."""
    seen: list[Seen] = []
    places: list[DescribedPlace] = []
    digests: set[bytes] = set(Inventory.MARKERS)
    for path in sorted(project):
        in_file, described, of_file = _scan_file(path, project[path])
        seen += in_file
        places += described
        digests |= of_file
    followed = follow_outside(places, project.items())
    return [_with_identity(*pair) for pair in zip(seen, followed, strict=True)], Inventory(digests)


def _with_identity(seen: Seen, described: Described) -> Seen:
    place = replace(seen.place, identity=described.identity)
    return Seen(seen.site, place, described.identity)


@lru_cache(maxsize=200)
def _scan_file(path: str, content: bytes) -> tuple[list[Seen], list[DescribedPlace], frozenset[bytes]]:
    source = SourceFile(content, language_of(path))
    sites = find_sites(path, content)
    digests = frozenset(digests_of(path, content, nameless=bool(sites)))
    seen = [_see(source, site) for site in sites]
    return [each for each, _ in seen], [described for _, described in seen], digests


def _see(source: SourceFile, site: Site) -> tuple[Seen, DescribedPlace]:
    first, last = source.line_at(site.start), source.line_at(site.end)
    snippet = source.snippet(first, last)
    described = source.describe(site.start, site.end, snippet)
    place = Place(
        fingerprint=f"{VERSION}:{site.rule} {described.statement} {described.shape}",
        path=site.path,
        scope=snippet.scope,
        start_line=first,
        end_line=last,
        rule_keys=frozenset({site.rule}),
        cwe=CWE[site.rule],
        identity=described.identity,
    )
    described_place = DescribedPlace(site.path, site.start, site.end, source.code_file, described)
    return Seen(site, place, described.identity), described_place


def finding_id(number: int) -> UUID:
    """Return the id of the n-th finding."""
    return UUID(int=number + 1)


def package_files(
    package: str, suffix: str, *, seed: int, count: int, max_bytes: int = 40_000
) -> list[tuple[str, bytes]]:
    """Return (path, content) of files of an installed package that hold sites, chosen by the seed."""
    root = _package_root(package)
    sources = (path for path in root.rglob(f"*{suffix}") if _is_source(path.relative_to(root)))
    files = sorted(path for path in sources if 1_500 < path.stat().st_size < max_bytes)
    random.Random(seed).shuffle(files)
    chosen: list[tuple[str, bytes]] = []
    for path in files:
        content = path.read_bytes()
        name = f"src/{root.name}/{path.relative_to(root).as_posix()}"
        if find_sites(name, content):
            chosen.append((name, content))
        if len(chosen) == count:
            break
    return chosen


def _package_root(package: str) -> Path:
    if Path(package).is_absolute():
        return Path(package)
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{package} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def _is_source(path: Path) -> bool:
    parts: Sequence[str] = path.parts
    return not any(part in {"tests", "test", "vendor", "node_modules", "_vendor"} for part in parts) and (
        ".min." not in path.name
    )
