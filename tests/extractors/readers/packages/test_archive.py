"""Archives of packages, ordinary and hostile: nothing leaves memory, and what comes out is bounded."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securetag.errors import SourceError
from securetag.extractors.catalog.licences import UNKNOWN_LICENCE, classifiers_to_spdx, name_to_spdx
from securetag.extractors.readers.packages import archive
from securetag.extractors.readers.packages.archive import read_package

METADATA = "Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n"


def write_wheel(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return path


def write_tarball(path: Path, members: list[tuple[tarfile.TarInfo | str, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as tarball:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            if info.isreg():
                info.size = len(content)
            tarball.addfile(info, io.BytesIO(content))
    return path


def test_a_wheel_gives_its_sources_and_license(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "shop/app.py": "x = 1\n",
        "shop/odd.py": b"x = '\xff\0'\n",
        "shop/page.html": "<p>",
        "shop/tests/test_app.py": "x",
        "shop/_vendor/other.py": "x",
        "shop/static/a.min.js": "x",
        "shop/empty.py": "",
        "shop-1.0.dist-info/METADATA": METADATA + "License-Expression: MIT\n",
    }
    package = read_package(write_wheel(tmp_path / "shop.whl", files))
    assert package.sources == {"shop/app.py": "x = 1\n", "shop/odd.py": "x = '�'\n"}
    assert package.licence == "MIT"


def test_a_tarball_gives_its_sources_without_the_first_folder(tmp_path: Path) -> None:
    members: list[tuple[tarfile.TarInfo | str, bytes]] = [
        ("shop-v1/lib/a.js", b"let x"),
        ("shop-v1/package.json", b'{"license": "Apache-2.0"}'),
        ("shop-v1/node_modules/b.js", b"let y"),
    ]
    package = read_package(write_tarball(tmp_path / "shop.tgz", members))
    assert package.sources == {"lib/a.js": "let x"}
    assert package.licence == "Apache-2.0"


def test_links_devices_and_names_that_leave_the_package_are_left_out(tmp_path: Path) -> None:
    link = tarfile.TarInfo("package/link.js")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("package/device.js")
    device.type = tarfile.CHRTYPE
    members: list[tuple[tarfile.TarInfo | str, bytes]] = [
        (link, b""),
        (device, b""),
        ("package/../../x.js", b"x"),
        ("package/a.js", b"a"),
    ]
    assert read_package(write_tarball(tmp_path / "p.tgz", members)).sources == {"a.js": "a"}
    wheel = write_wheel(tmp_path / "p.whl", {"../../x.py": "x", "p/a.py": "a"})
    assert read_package(wheel).sources == {"p/a.py": "a"}


def test_a_tarball_that_unpacks_to_far_more_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = write_tarball(tmp_path / "p.tgz", [("package/zeros.bin", bytes(archive.BOMB_BYTES * 3))])
    with pytest.raises(SourceError, match="bomb"):
        read_package(bomb)


def test_a_large_source_file_is_left_out(tmp_path: Path) -> None:
    large = "x" * (archive.MAX_SOURCE_BYTES + 1)
    assert read_package(write_wheel(tmp_path / "p.whl", {"p/a.py": large, "p/b.py": "b"})).sources == {
        "p/b.py": "b"
    }


def test_a_wheel_that_declares_a_small_size_and_holds_more_is_refused(tmp_path: Path) -> None:
    path = write_wheel(tmp_path / "p.whl", {"p/a.py": "x" * 5_000})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(signature) + offset
        data[place : place + 4] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(SourceError):
        read_package(path)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    with pytest.raises(SourceError, match="files"):
        read_package(write_wheel(tmp_path / "p.whl", {f"p/{n}.py": "x" for n in range(4)}))
    with pytest.raises(SourceError, match="files"):
        read_package(write_tarball(tmp_path / "p.tgz", [(f"package/{n}.js", b"x") for n in range(5)]))


@given(place=st.floats(0, 1), byte=st.integers(0, 255), is_cut=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_damaged_archive_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: float, byte: int, is_cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    paths = [
        write_wheel(folder / "p.whl", {"p/a.py": "x = 1\n" * 20, "p-1.dist-info/METADATA": METADATA}),
        write_tarball(folder / "p.tgz", [("package/a.js", b"let x\n" * 20), ("package/package.json", b"{}")]),
    ]
    for path in paths:
        data = bytearray(path.read_bytes())
        index = int(place * (len(data) - 1))
        data[index] = byte
        path.write_bytes(data[:index] if is_cut else data)
        try:
            read_package(path)
        except SourceError:
            continue


def test_a_damaged_tar_inside_of_whole_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.tgz"
    path.write_bytes(gzip.compress(b"not a tar archive" * 100))
    with pytest.raises(SourceError):
        read_package(path)


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        pytest.param("MIT", "MIT", id="identifier"),
        pytest.param("Apache License, Version 2.0", "Apache-2.0", id="words"),
        pytest.param("MIT OR Apache-2.0", "MIT OR Apache-2.0", id="expression"),
        pytest.param("BSD", UNKNOWN_LICENCE, id="family"),
        pytest.param("see LICENSE", UNKNOWN_LICENCE, id="prose"),
        pytest.param("", UNKNOWN_LICENCE, id="none"),
        pytest.param("Permission is hereby granted " * 100, UNKNOWN_LICENCE, id="text"),
    ],
)
def test_a_license_in_its_authors_words(name: str, licence: str) -> None:
    assert name_to_spdx(name) == licence


def test_classifiers_name_a_license_only_where_they_name_one() -> None:
    mit = "License :: OSI Approved :: MIT License"
    assert classifiers_to_spdx([mit, "Topic :: Security"]) == "MIT"
    assert classifiers_to_spdx([mit, "License :: OSI Approved :: Apache Software License"]) == ""
    assert classifiers_to_spdx(["License :: OSI Approved :: BSD License"]) == ""


@pytest.mark.parametrize(
    ("manifest", "licence"),
    [
        pytest.param(b'{"license": {"type": "ISC"}}', "ISC", id="object"),
        pytest.param(b'{"licenses": [{"type": "MIT"}, {"type": "ISC"}]}', "MIT OR ISC", id="list"),
        pytest.param(b'{"license": 3}', UNKNOWN_LICENCE, id="number"),
        pytest.param(b"[" * 10_000, UNKNOWN_LICENCE, id="nested"),
    ],
)
def test_licenses_of_a_manifest(tmp_path: Path, manifest: bytes, licence: str) -> None:
    members: list[tuple[tarfile.TarInfo | str, bytes]] = [("package/package.json", manifest)]
    assert read_package(write_tarball(tmp_path / "p.tgz", members)).licence == licence
