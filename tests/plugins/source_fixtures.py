"""Types of the fixtures that make a source and its files for a reader."""

from __future__ import annotations

from collections.abc import Callable

from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import FetchedFile

MakeSource = Callable[..., Source]
MakeFile = Callable[..., FetchedFile]
