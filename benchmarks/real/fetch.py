"""Get a published package's code from its index into a folder, for the benchmarks; nothing of it is run.

The archive is the product's (`securetag.extractors.fetching.published`), a wheel or npm's tarball. Everything
lies under `<home>/corpus/`.
"""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from pathlib import Path

from securetag.errors import ToolError, UnavailableError
from securetag.extractors.catalog import Ecosystem
from securetag.extractors.fetching.published import download_package
from securetag.settings import get_settings
from securetag.system.locks import FileLock


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
            try:
                archive = download_package(ecosystem, package, version, corpus_folder() / "archives")
            except UnavailableError as error:
                raise ToolError(str(error), hint=error.hint) from error
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".draft-") as draft:
                code = Path(draft) / "code"
                _unpack(archive, code)
                code.rename(folder)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder)  # zipfile keeps every name below the folder
    else:
        with tarfile.open(archive) as tarball:
            tarball.extractall(folder, filter="data")
