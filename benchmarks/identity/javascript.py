"""Prettier, fetched from npm when it is needed and Node.js is there."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from benchmarks.identity.edits import Unfit

PRETTIER = "prettier@3.6.2"


@cache
def prettier() -> Path | None:
    """Return the program's script; None where Node.js or the registry is missing."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None
    folder = Path(tempfile.gettempdir()) / "securetag-bench-prettier"
    script = folder / "package" / "bin" / "prettier.cjs"
    if not script.exists():
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            ["npm", "pack", "--silent", PRETTIER], cwd=folder, capture_output=True, timeout=120, check=False
        )
        archives = sorted(folder.glob("prettier-*.tgz"))
        if done.returncode or not archives:
            return None
        shutil.unpack_archive(archives[0], folder, filter="data")
    return script if script.exists() else None


def format_with_prettier(content: bytes, width: int) -> bytes:
    """Return the formatted file. Raises Unfit where that can't be done."""
    script = prettier()
    if script is None:
        raise Unfit
    done = subprocess.run(
        ["node", str(script), "--parser", "babel", "--print-width", str(width)],
        input=content,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise Unfit
    return done.stdout


_MODULES = (
    "agent-base",
    "cmd-shim",
    "graceful-fs",
    "libnpmexec",
    "ms",
    "negotiator",
    "nopt",
    "npm-registry-fetch",
)
_UNSEEN_MODULES = ("pacote", "cacache", "semver", "@npmcli/arborist", "make-fetch-happen", "node-gyp", "tar")


def node_packages(*, is_unseen: bool) -> list[Path]:
    """Return folders of JavaScript that isn't ours: Django's admin, and packages that npm consists of."""
    npm = shutil.which("npm")
    modules = Path(npm).resolve().parent.parent / "node_modules" if npm else Path()
    folders = [modules / name for name in (_UNSEEN_MODULES if is_unseen else _MODULES)] if npm else []
    if not is_unseen:
        spec = importlib.util.find_spec("django")
        root = Path(spec.origin or "").parent if spec is not None else Path()
        folders.append(root / "contrib" / "admin" / "static" / "admin" / "js")
    return [folder for folder in folders if folder.is_dir()]
