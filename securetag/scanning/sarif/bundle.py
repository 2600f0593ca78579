"""A SARIF file and the code that it is about, as one archive: what an import stores and its worker reads."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from securetag.errors import ArchiveError, NotFoundError
from securetag.system.zips import DAMAGED_ZIP

_REPORT, _SOURCE = "report.sarif", "source.zip"
#: The same files give the same bytes.
_DATE = (2020, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """The files of an import."""

    report: Path
    #: A zip archive; None where no code came with the report.
    source: Path | None


def write_bundle(target: Path, report: Path, source: Path | None) -> None:
    """Write both files, as they are, to the archive `target`."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in ((_REPORT, report), (_SOURCE, source)):
            if path is not None:
                entry = zipfile.ZipInfo(name, _DATE)
                entry.file_size = path.stat().st_size
                with path.open("rb") as content, archive.open(entry, "w") as out:
                    shutil.copyfileobj(content, out)


@contextmanager
def open_source(archive: IO[bytes]) -> Iterator[IO[bytes]]:
    """Open the code in an import, a zip archive. Raises NotFoundError where it has none, ArchiveError."""
    with ExitStack() as opened:
        try:
            bundle = opened.enter_context(zipfile.ZipFile(archive))
            if _SOURCE not in bundle.namelist():
                raise NotFoundError("no code came with this import", hint="Import it again, with the code.")
            source = opened.enter_context(bundle.open(_SOURCE))
        except DAMAGED_ZIP as error:
            raise ArchiveError(f"the import is damaged: {error}", hint="Import the file again.") from error
        yield source


def read_bundle(archive: Path, folder: Path) -> Bundle:
    """Copy the files out of the archive into `folder`. Raises ArchiveError for an archive of another kind."""
    try:
        with zipfile.ZipFile(archive) as opened:
            names = set(opened.namelist())
            for name in (_REPORT, _SOURCE):
                if name in names:
                    with opened.open(name) as content, (folder / name).open("xb") as out:
                        shutil.copyfileobj(content, out)
    except DAMAGED_ZIP as error:
        raise ArchiveError(f"the import is damaged: {error}", hint="Import the file again.") from error
    if _REPORT not in names:
        raise ArchiveError("the import holds no report", hint="Import the file again.")
    return Bundle(folder / _REPORT, folder / _SOURCE if _SOURCE in names else None)
