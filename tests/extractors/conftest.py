"""Small publications of our own writing, in the formats of the real ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from made_once import make_once, run_folder
from source_fixtures import MakeFile, MakeSource
from within import within

from securetag.extractors.catalog import FolderMethod, Source
from securetag.extractors.extract import extract
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.record_files import Extraction
from securetag.records import JsonObject
from securetag.settings import Settings, get_settings


@pytest.fixture(autouse=True)
def _bounded(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whoever reads a hostile file keeps to the bounds, whatever the format."""
    if request.node.get_closest_marker("hostile"):
        with within():
            yield
    else:
        yield


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Without a mirror, whatever the environment of the golden tests says."""
    monkeypatch.delenv("SECURETAG_MIRROR", raising=False)
    get_settings.cache_clear()
    return get_settings()


@pytest.fixture
def make_source(tmp_path: Path) -> MakeSource:
    def make(**changes: Any) -> Source:
        row: dict[str, Any] = {
            "name": "test-source",
            "tier": "core",
            "publisher": "Tester",
            "dataset": "test",
            "title": "Test",
            "edition": "1",
            "url": "https://example.org/",
            "licence": "CC-BY-4.0",
            "reader": "markdown",
            "folder": FolderMethod(str(tmp_path)),
        }
        return Source(**(row | changes))

    return make


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    def make(name: str, content: bytes | str, url: str = "") -> FetchedFile:
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        return FetchedFile(path, url or f"https://example.org/{name}", digest, "1", "CC-BY-4.0")

    return make


@pytest.fixture
def make_mirror(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """A mirror folder from url → bytes."""

    def make(files: dict[str, bytes], **extra: JsonObject) -> Path:
        folder = tmp_path / "mirror"
        folder.mkdir(exist_ok=True)
        rows = []
        for number, (url, data) in enumerate(files.items()):
            (folder / f"f{number}").write_bytes(data)
            rows.append(
                {
                    "path": f"f{number}",
                    "url": url,
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "licence": "MIT",
                }
                | extra.get(url, {})
            )
        (folder / "MANIFEST.json").write_text(json.dumps({"schema": 1, "files": rows}))
        return folder

    return make


@pytest.fixture(scope="session")
def golden_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where golden tests unpack: once for all of them, in whichever process of the run."""
    return run_folder(tmp_path_factory)


@lru_cache(maxsize=64)
def _extraction(name: str, mirror: Path, folder: Path) -> Extraction:
    return make_once(folder, name, lambda work: extract(name, Settings(mirror=mirror, data=work)))


@pytest.fixture
def golden(mirror: Path, golden_data: Path) -> Callable[[str], Extraction]:
    """A source of the catalog, extracted from the mirror once for all tests."""
    return lambda name: _extraction(name, mirror, golden_data)
