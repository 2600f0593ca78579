"""Corrections of constructed packages: one Record a changed file, with both versions and the license."""

from __future__ import annotations

import zipfile
from pathlib import Path

import msgspec
import pytest

from securetag.errors import UnavailableError
from securetag.extractors.catalog import PublishedFix, Source, check_availability, is_usable
from securetag.extractors.fetching.fetch import fetch
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.fetching.published import download_package
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.readers.packages.advisory_fixes import (
    MAX_CHANGED_FILES,
    AdvisoryFixesReader,
    list_changed_functions,
)
from securetag.records import PACKAGE_FIX, Record
from securetag.settings import Settings
from securetag.system.hashing import hash_file

FIX = PublishedFix(
    ecosystem="pypi", package="shop", vulnerable="1.0", fixed="1.1", advisory="CVE-2020-0001", cwe="CWE-22"
)
VULNERABLE = "def read(name):\n    return open(name).read()\n\ndef other():\n    return 1\n"
FIXED = VULNERABLE.replace(
    "    return open", "    if '..' in name:\n        raise ValueError\n    return open"
)


def make_source(*fixes: PublishedFix) -> Source:
    return Source(
        name="fixes",
        tier="extended",
        publisher="Authors",
        dataset="fixes",
        title="Fixes",
        edition="1",
        url="https://osv.dev/",
        licence="LicenseRef-Unknown",
        reader="advisory-fixes",
        published=list(fixes),
    )


def write_wheel(folder: Path, version: str, files: dict[str, str], licence: str = "MIT") -> Path:
    """Write a wheel that pip takes for a real one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"shop-{version}-py3-none-any.whl"
    info = f"shop-{version}.dist-info"
    metadata = f"Metadata-Version: 2.4\nName: shop\nVersion: {version}\nLicense-Expression: {licence}\n"
    wheel_file = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as wheel:
        parts = {**files, f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel_file, f"{info}/RECORD": ""}
        for name, content in parts.items():
            wheel.writestr(name, content)
    return path


def read(source: Source, archives: dict[str, Path]) -> list[Item]:
    files = [
        FetchedFile(path, url, hash_file(path), "1", "LicenseRef-Unknown") for url, path in archives.items()
    ]
    return list(AdvisoryFixesReader(source).read(sorted(files, key=lambda file: file.url)))


def make_pair(
    tmp_path: Path, before: dict[str, str], after: dict[str, str], licence: str = "MIT"
) -> list[Item]:
    archives = {
        "pkg:pypi/shop@1.0": write_wheel(tmp_path, "1.0", before),
        "pkg:pypi/shop@1.1": write_wheel(tmp_path, "1.1", after, licence),
    }
    return read(make_source(FIX), archives)


def test_a_changed_file_is_a_record_with_both_versions(tmp_path: Path) -> None:
    same = "x = 1\n"
    (record,) = make_pair(
        tmp_path,
        {"shop/a.py": VULNERABLE, "shop/same.py": same, "shop/blank.py": "y = 1\n"},
        {"shop/a.py": FIXED, "shop/same.py": same, "shop/blank.py": "y  =  1\n", "shop/new.py": "z = 1\n"},
    )
    assert isinstance(record, Record)
    facts = record.facts
    assert (facts.kind, facts.language) == (PACKAGE_FIX, "python")
    assert (facts.vulnerable, facts.fixed) == (VULNERABLE, FIXED)
    assert (facts.cwe, facts.aliases, facts.packages) == (["CWE-22"], ["CVE-2020-0001"], ["pypi/shop"])
    assert (record.url, record.licence, record.locator) == ("pkg:pypi/shop@1.0", "MIT", "shop/a.py")
    assert "`read`" in record.text
    assert "`other`" not in record.text


def test_a_license_that_changes_between_the_versions_is_unknown(tmp_path: Path) -> None:
    (record,) = make_pair(tmp_path, {"shop/a.py": VULNERABLE}, {"shop/a.py": FIXED}, licence="GPL-3.0-only")
    assert isinstance(record, Record)
    assert record.licence == "LicenseRef-Unknown"


def test_a_release_that_changes_many_files_is_dropped_whole(tmp_path: Path) -> None:
    names = [f"shop/f{number}.py" for number in range(MAX_CHANGED_FILES + 1)]
    (drop,) = make_pair(tmp_path, dict.fromkeys(names, VULNERABLE), dict.fromkeys(names, FIXED))
    assert isinstance(drop, Drop)
    assert "changes more than" in drop.reason


def test_two_advisories_of_one_pair_of_versions_are_one_record(tmp_path: Path) -> None:
    source = make_source(FIX, msgspec.structs.replace(FIX, advisory="CVE-2020-0002", cwe="CWE-78"))
    archives = {
        "pkg:pypi/shop@1.0": write_wheel(tmp_path, "1.0", {"shop/a.py": VULNERABLE}),
        "pkg:pypi/shop@1.1": write_wheel(tmp_path, "1.1", {"shop/a.py": FIXED}),
    }
    (record,) = read(source, archives)
    assert isinstance(record, Record)
    assert record.facts.cwe == ["CWE-22", "CWE-78"]


def test_without_the_fixed_version_there_is_a_failure(tmp_path: Path) -> None:
    (failure,) = read(
        make_source(FIX), {"pkg:pypi/shop@1.0": write_wheel(tmp_path, "1.0", {"shop/a.py": "x"})}
    )
    assert failure == Failure("pkg:pypi/shop@1.1", "", "the fixed version couldn't be fetched")


def test_a_damaged_archive_is_a_failure_and_stops_no_other(tmp_path: Path) -> None:
    other = msgspec.structs.replace(FIX, vulnerable="0.8", fixed="0.9")
    archives = {
        "pkg:pypi/shop@0.8": write_wheel(tmp_path, "0.8", {"shop/a.py": VULNERABLE}),
        "pkg:pypi/shop@0.9": write_wheel(tmp_path, "0.9", {"shop/a.py": FIXED}),
        "pkg:pypi/shop@1.0": write_wheel(tmp_path, "1.0", {"shop/a.py": VULNERABLE}),
        "pkg:pypi/shop@1.1": write_wheel(tmp_path, "1.1", {"shop/a.py": FIXED}),
    }
    archives["pkg:pypi/shop@1.0"].write_bytes(b"no archive")
    items = read(make_source(other, FIX), archives)
    assert [type(item) for item in items] == [Record, Failure]


def test_functions_that_moved_are_unchanged() -> None:
    moved = "def other():\n    return 1\n\n\ndef read(name):\n    return open(name).read()\n"
    assert list_changed_functions(VULNERABLE, moved, "python") == []
    assert list_changed_functions(VULNERABLE, FIXED, "python") == ["read"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"package": "--index-url=x"}, id="an option as a package"),
        pytest.param({"package": "../shop"}, id="a path as a package"),
        pytest.param({"package": "shop\n"}, id="a line end"),
        pytest.param({"fixed": "-r"}, id="an option as a version"),
        pytest.param({"vulnerable": "1.0/../.."}, id="a path as a version"),
    ],
)
def test_what_is_no_name_or_version_never_reaches_a_client(change: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**msgspec.to_builtins(FIX), **change}, PublishedFix)


def test_no_build_takes_it_unasked(settings: Settings) -> None:
    source = make_source(FIX)
    assert check_availability(source, settings).methods == ["published"]
    assert not is_usable(source, settings)


def test_pip_downloads_a_version_once(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    write_wheel(index, "1.0", {"shop/a.py": VULNERABLE})
    write_wheel(index, "1.1", {"shop/a.py": FIXED})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    settings = settings.model_copy(update={"data": tmp_path / "data"})
    source = make_source(FIX)
    files = fetch(source, settings)
    assert [file.url for file in files] == ["pkg:pypi/shop@1.0", "pkg:pypi/shop@1.1"]
    for path in index.iterdir():
        path.unlink()
    assert fetch(source, settings) == files
    (record,) = AdvisoryFixesReader(source).read(files)
    assert isinstance(record, Record)


@pytest.mark.system
def test_a_version_that_the_index_lacks_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(UnavailableError, match="shop 9 can't be had from pypi"):
        download_package("pypi", "shop", "9", tmp_path / "packages")
    assert not list((tmp_path / "packages").glob("pypi/*/*"))
