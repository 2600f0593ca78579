"""Download published versions of packages with the clients of their indexes, and run none of their code.

Of PyPI's index it is the wheel (building a source distribution would run its code), of npm's the tarball
(`npm pack` of a published version runs no script of it). One archive is asked for at a time, and each once:
a version that was published doesn't change. Which index, which proxy and which credentials, pip's and npm's
own settings say.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Iterator
from pathlib import Path

from securetag.errors import UnavailableError
from securetag.extractors.catalog import Ecosystem
from securetag.system.files import move_file
from securetag.system.locks import FileLock

DOWNLOAD_SECONDS = 300
#: Bytes of an archive; the largest wheels without compiled libraries have 50 MB.
MAX_ARCHIVE_BYTES = 256 << 20
_SUFFIXES = frozenset({".whl", ".tgz"})
#: Old packages with compiled parts have no wheel for this Python; one for an older Python is read instead.
_PLATFORMS: tuple[tuple[str, ...], ...] = (
    (),
    ("--python-version=3.8", "--platform=manylinux2014_x86_64", "--platform=manylinux2010_x86_64"),
)


def download_package(ecosystem: Ecosystem, package: str, version: str, folder: Path) -> Path:
    """Return the archive of one version below `folder`, from the index the first time.

    Raises UnavailableError where the index has no such version, none that can be read without building it, or
    one of more than MAX_ARCHIVE_BYTES.
    """
    place = folder / ecosystem / f"{package.replace('/', '__')}-{version}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{ecosystem}.lock"):
        archive = _find_archive(place)
        if archive is None:
            with tempfile.TemporaryDirectory(dir=folder, prefix=".draft-") as name:
                downloaded = _download(ecosystem, package, version, Path(name), folder)
                archive = place / downloaded.name
                place.mkdir(exist_ok=True)
                move_file(downloaded, archive)
    return archive


def _find_archive(folder: Path) -> Path | None:
    archives = [path for path in folder.glob("*") if path.suffix in _SUFFIXES]
    return min(archives, default=None)


def _download(ecosystem: Ecosystem, package: str, version: str, draft: Path, folder: Path) -> Path:
    commands: Iterable[list[str]]
    if ecosystem == "npm":
        commands = [[_find_npm(), "pack", "--silent", "--ignore-scripts", f"{package}@{version}"]]
    else:
        commands = _list_pip_commands(f"{package}=={version}", folder)
    message = ""
    for command in commands:
        try:
            done = subprocess.run(
                command, check=False, cwd=draft, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS
            )
        except subprocess.TimeoutExpired:
            message = f"no answer within {DOWNLOAD_SECONDS} s"
            continue
        archive = _find_archive(draft)
        if done.returncode == 0 and archive is not None:
            if archive.stat().st_size > MAX_ARCHIVE_BYTES:
                raise UnavailableError(
                    f"{package} {version}: its archive is over {MAX_ARCHIVE_BYTES:,} bytes"
                )
            return archive
        message = (done.stderr.strip().splitlines() or ["no message"])[-1]
    raise UnavailableError(
        f"{package} {version} can't be had from {ecosystem}: {message}",
        hint="The package index is needed once; pip's and npm's own settings name it.",
    )


def _list_pip_commands(requirement: str, folder: Path) -> Iterator[list[str]]:
    """Yield the ways to download a wheel, the usual one first."""
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    options += ["--ignore-requires-python", "--dest=.", requirement]
    for platform in _PLATFORMS:
        yield [sys.executable, "-m", "pip", "download", *platform, *options]
    yield [str(_make_lenient_python(folder / ".pip")), "-m", "pip", "download", *options]


def _make_lenient_python(folder: Path) -> Path:
    """Return a Python whose pip is the one that Python brings.

    From 24.1 on pip leaves out wheels whose metadata isn't valid, as that of some old versions is.
    """
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
    return python


def _find_npm() -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError(
            "npm isn't installed", hint="Install Node.js, whose npm downloads the packages."
        )
    return npm
