"""Scans of published packages with our rules, kept so that a run that was interrupted goes on where it was.

A kept scan is known by all that decides what it finds: the compiled rules, Semgrep's version, the code that
reads its reports, and every file that was scanned. Merging and ranking come after it and are never kept.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import msgspec

import securetag.scanning
from benchmarks.real.fetch import corpus_folder, fetch_package
from securetag.extractors.catalog import Ecosystem
from securetag.records import Finding
from securetag.rules import catalogue, compiled_pack, pack_sha256
from securetag.scanning.evidence import combine_evidence
from securetag.scanning.semgrep import scan
from securetag.settings.sections import SemgrepSettings
from securetag.system.files import write_atomic
from securetag.system.hashing import hash_bytes

SEMGREP_VERSION = Path(__file__).parents[2] / "constraints-semgrep.txt"
#: Folders of the scanners that have no part in what Semgrep reports.
OTHER_CODE = frozenset({"evidence", "sarif", "secrets", "web"})


class PackageScan(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan of one version of a package found, combined and ranked, and its CPU-seconds."""

    findings: list[Finding]
    cpu_s: float


class _KeptScan(msgspec.Struct, frozen=True, kw_only=True):
    """What Semgrep reported, before places are merged, and the rules that reached their limit on a file."""

    findings: list[Finding]
    cpu_s: float
    timeouts: int


def scan_package(
    ecosystem: Ecosystem, package: str, version: str, files: Iterable[str] | None = None
) -> PackageScan:
    """Scan one version of a package, or those of `files` that it has; print one line about it to stderr.

    Raises ToolError where the index has no such version, or where Semgrep fails.
    """
    source = fetch_package(ecosystem, package, version)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "code"
        root.mkdir()
        if files is None:
            shutil.copytree(source, root, dirs_exist_ok=True)
        else:
            _copy_files(source, sorted(set(files)), root)
        kept, was_kept = _keep(_key(root), lambda: _scan(root, Path(folder)))
        how = "kept" if was_kept else f"{kept.cpu_s:.1f} CPU-s"
        lost = f", {kept.timeouts} timeouts" if kept.timeouts else ""
        line = f"{package} {version}: {len(kept.findings)} reports, {how}{lost}"
        print(line, file=sys.stderr, flush=True)
        return PackageScan(findings=combine_evidence(kept.findings, root), cpu_s=kept.cpu_s)


def _copy_files(source: Path, files: Iterable[str], root: Path) -> None:
    for name in files:
        if (source / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, root / name)


def _keep(key: str, run: Callable[[], _KeptScan]) -> tuple[_KeptScan, bool]:
    """Return the scan that is kept under `key`, else that of `run`, and whether it was kept."""
    path = corpus_folder() / "scans" / f"{key}.json"
    if path.is_file():
        return msgspec.json.decode(path.read_bytes(), type=_KeptScan), True
    done = run()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, msgspec.json.encode(done), durable=False)
    return done, False


def _key(root: Path) -> str:
    files = [f"{path.relative_to(root)} {hash_bytes(path.read_bytes())}" for path in _list_files(root)]
    return hash_bytes("\n".join([pack_sha256(), _code_sha256(), *files]).encode())


@cache
def _code_sha256() -> str:
    """64 hex digits over Semgrep's version and the code that runs it and reads its reports."""
    folder = Path(securetag.scanning.__file__).parent
    code = [path for path in sorted(folder.rglob("*.py")) if not OTHER_CODE & set(path.parts)]
    return hash_bytes(b"\0".join(path.read_bytes() for path in [SEMGREP_VERSION, *code]))


def _list_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def _scan(root: Path, folder: Path) -> _KeptScan:
    settings = SemgrepSettings(cpu_s=3600, timeout_s=7200)
    pack = compiled_pack(folder / "pack")
    done = scan(root, pack=pack, settings=settings, out=folder / "out", catalogue=catalogue()).check()
    return _KeptScan(findings=done.findings, cpu_s=done.metrics.cpu_s, timeouts=done.coverage.timeouts_total)
