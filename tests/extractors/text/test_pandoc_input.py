"""Damaged archives of office documents."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from securetag.errors import SourceError
from securetag.extractors.text.pandoc_input import _copy_archive


def test_damaged_compressed_bytes_are_a_failure_of_the_source(tmp_path: Path) -> None:
    path = tmp_path / "manual.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.xml", "<a>" + "hello world " * 500 + "</a>")
    # The name takes 5 bytes after the header's 30: what follows is compressed.
    damaged = bytearray(path.read_bytes())
    damaged[36:44] = b"\xff" * 8
    path.write_bytes(damaged)
    with pytest.raises(SourceError, match="damaged archive"):
        _copy_archive(path, tmp_path / "copy.docx", re.compile("none"), lambda root: None)
