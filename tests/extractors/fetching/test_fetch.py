from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from streamed import StreamedTransport

from securetag.errors import SourceError, UnavailableError
from securetag.extractors.catalog import FolderMethod, NetworkMethod, PackageMethod, Source, load
from securetag.extractors.fetching.download import Downloader
from securetag.extractors.fetching.fetch import fetch
from securetag.extractors.fetching.files import Failure
from securetag.extractors.fetching.unpack import gunzip
from securetag.settings import Settings
from securetag.settings.sections import FetchSettings

URL = "https://e.org/a.json"
Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler) -> httpx.Client:
    return httpx.Client(transport=StreamedTransport(handler))


def downloader(handler: Handler, waits: list[float] | None = None, **settings: Any) -> Downloader:
    return Downloader(
        FetchSettings(**settings), client(handler), wait=(waits if waits is not None else []).append
    )


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_from_a_package(settings: Settings) -> None:
    (file,) = fetch(load()["mitre-cwe-4.14"], settings)
    assert file.sha256.startswith("828d4c1a")
    assert file.edition == "4.14"
    assert file.path.read_bytes()[:5] == b"<?xml"


def test_a_package_with_another_checksum_is_refused(
    make_source: Callable[..., Source], settings: Settings
) -> None:
    way = PackageMethod("cwe2", "__init__.py", "0" * 64)
    with pytest.raises(SourceError, match="checksum changed"):
        fetch(make_source(folder=None, package=way), settings)


def test_from_a_mirror_verified_and_unpacked(
    make_source: Callable[..., Source], settings: Settings, make_mirror: Callable[..., Path]
) -> None:
    inner = b'{"a": 1}'
    digest = hashlib.sha256(inner).hexdigest()
    zip_, gz, plain = "https://e.org/z.zip", "https://e.org/g.json", "https://e.org/p.json"
    folder = make_mirror(
        {zip_: zipped(**{"../m.json": inner}), gz: gzip.compress(inner), plain: inner},
        **{
            zip_: {"archive_member": "../m.json", "member_sha256": digest},
            gz: {"content_encoding": "gzip", "member_sha256": digest},
        },
    )
    settings = settings.model_copy(update={"mirror": folder})
    files = fetch(make_source(folder=None, mirror=["https://e.org/*"]), settings)
    assert [file.url for file in files] == [gz, plain, zip_]
    assert {file.sha256 for file in files} == {digest}
    assert {file.licence for file in files} == {"MIT"}
    assert all(
        file.path.is_relative_to(folder) or file.path.is_relative_to(settings.raw_dir) for file in files
    )


def test_one_damaged_file_of_a_mirror_costs_no_other(
    make_source: Callable[..., Source], settings: Settings, make_mirror: Callable[..., Path]
) -> None:
    folder = make_mirror({"https://e.org/a": b"1", "https://e.org/b": b"2", "https://e.org/c": b"3"})
    (folder / "f1").write_bytes(b"changed")
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    manifest["files"][2]["path"] = "../outside"
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    settings = settings.model_copy(update={"mirror": folder})
    failures: list[Failure] = []
    files = fetch(make_source(folder=None, mirror=["https://e.org/*"]), settings, None, failures.append)
    assert [file.url for file in files] == ["https://e.org/a"]
    assert sorted(failure.reason.split(":")[1].strip()[:14] for failure in failures) == [
        "is outside the",
        "the checksum c",
    ]


def test_a_link_out_of_a_users_folder_is_not_followed(
    make_source: Callable[..., Source], settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "secret.md").write_text("secret")
    (tmp_path / "docs" / "a.md").write_text("a")
    (tmp_path / "docs" / "link.md").symlink_to(tmp_path / "secret.md")
    files = fetch(make_source(folder=FolderMethod(str(tmp_path / "docs"), "**/*.md")), settings)
    assert [file.path.name for file in files] == ["a.md"]


def test_nothing_leads_to_it(make_source: Callable[..., Source], settings: Settings) -> None:
    with pytest.raises(UnavailableError, match="SECURETAG_MIRROR is not set"):
        fetch(make_source(folder=None, mirror=["https://e.org/*"]), settings)


def test_a_gzip_that_is_cut_short() -> None:
    with pytest.raises(SourceError):
        gunzip(gzip.compress(b"x" * 100)[:-12])


def test_from_the_network_an_archive_without_its_folders(
    make_source: Callable[..., Source], settings: Settings
) -> None:
    archive = zipped(**{"r/docs/a.md": b"A", "r/../../b.md": b"B", "r/c.txt": b"C"})
    source = make_source(folder=None, network=[NetworkMethod("https://e.org/x.zip", members="r/*.md")])
    files = fetch(source, settings, client=client(lambda _: httpx.Response(200, content=archive)))
    assert sorted(file.path.read_bytes() for file in files) == [b"A", b"B"]
    assert all(file.path.resolve().is_relative_to(settings.raw_dir) for file in files)


def test_a_second_fetch_asks_whether_it_changed(tmp_path: Path) -> None:
    requests = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request.headers.get("If-None-Match"))
        if requests[-1] == '"v1"':
            return httpx.Response(304)
        return httpx.Response(200, json={"a": 1}, headers={"ETag": '"v1"'})

    get = downloader(handler).get
    first = get(URL, tmp_path / "a.json", sha256=None)
    assert get(URL, tmp_path / "a.json", sha256=None) == first
    assert get(URL, tmp_path / "a.json", sha256=first.sha256) == first
    assert requests == [None, '"v1"']  # pinned and whole: not asked a third time


def test_a_cut_connection_is_resumed(tmp_path: Path) -> None:
    body, ranges = b'{"a": "' + b"x" * 200_000 + b'"}', []

    class Cut(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield body[:100_000]
            raise httpx.ReadError("reset")

    def handler(request: httpx.Request) -> httpx.Response:
        ranges.append(request.headers.get("Range"))
        if ranges[-1]:
            start = int(ranges[-1].removeprefix("bytes=").rstrip("-"))
            assert request.headers["If-Range"] == '"v1"'
            content_range = f"bytes {start}-{len(body) - 1}/{len(body)}"
            return httpx.Response(206, content=body[start:], headers={"Content-Range": content_range})
        headers = {"ETag": '"v1"', "Content-Length": str(len(body))}
        return httpx.Response(200, stream=Cut(), headers=headers)

    meta = downloader(handler).get(URL, tmp_path / "a.json", sha256=None)
    assert meta.sha256 == hashlib.sha256(body).hexdigest()
    assert ranges[0] is None
    assert ranges[1]


@pytest.mark.parametrize(
    ("url", "content"),
    [
        pytest.param(URL, b"<!DOCTYPE html><p>maintenance", id="HTML for JSON"),
        pytest.param("https://e.org/a.pdf", b"<html>login", id="HTML for PDF"),
        pytest.param(URL, b"", id="empty"),
        pytest.param("https://e.org/a.zip", b"<html>", id="HTML for a zip archive"),
        pytest.param(
            "https://e.org/a.md", b"\xef\xbb\xbf<!doctype HTML><html>", id="HTML with a BOM for Markdown"
        ),
    ],
)
def test_an_error_page_is_never_cached(tmp_path: Path, url: str, content: bytes) -> None:
    with pytest.raises(SourceError, match="the answer is not a"):
        downloader(lambda _: httpx.Response(200, content=content)).get(url, tmp_path / "f", sha256=None)
    assert list(tmp_path.iterdir()) == [tmp_path / "home"] or not any(p.is_file() for p in tmp_path.iterdir())


def test_a_404_is_final_and_a_503_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="HTTP 404"):
        downloader(lambda _: httpx.Response(404)).get(URL, tmp_path / "f", sha256=None)
    waits: list[float] = []
    away = downloader(lambda _: httpx.Response(503, headers={"Retry-After": "7"}), waits, attempts=3)
    with pytest.raises(UnavailableError, match="HTTP 503"):
        away.get(URL, tmp_path / "f", sha256=None)
    assert waits == [7.0, 7.0]


def test_offline_the_cache_answers(tmp_path: Path) -> None:
    online = downloader(lambda _: httpx.Response(200, json={}))
    meta = online.get(URL, tmp_path / "f", sha256=None)

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    assert downloader(refuse).get(URL, tmp_path / "f", sha256=None) == meta
    (tmp_path / "f").write_bytes(b"damaged")
    with pytest.raises(UnavailableError):
        downloader(refuse).get(URL, tmp_path / "f", sha256=None)


def test_a_changed_checksum_is_an_error_and_replaces_nothing(tmp_path: Path) -> None:
    downloader(lambda _: httpx.Response(200, json={"v": 1})).get(URL, tmp_path / "f", sha256=None)
    before = (tmp_path / "f").read_bytes()
    changed = [lambda _: httpx.Response(200, json={"v": 2})]
    with pytest.raises(SourceError, match="changed upstream"):
        downloader(changed[0]).get(URL, tmp_path / "f", sha256=None)
    with pytest.raises(SourceError, match="changed upstream"):
        downloader(changed[0], accept_changes=True).get(URL, tmp_path / "f", sha256="0" * 64)
    assert (tmp_path / "f").read_bytes() == before
    downloader(changed[0], accept_changes=True).get(URL, tmp_path / "f", sha256=None)
    assert json.loads((tmp_path / "f").read_bytes()) == {"v": 2}
