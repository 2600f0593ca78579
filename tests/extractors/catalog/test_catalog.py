from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from license_expression import get_spdx_licensing

from securetag.errors import NotFoundError, SettingsError
from securetag.extractors import catalog
from securetag.extractors.catalog import Source
from securetag.extractors.readers.registry import READERS
from securetag.settings import Settings
from securetag.settings.sections import FetchSettings

ROW = """
- {name: mine, tier: extended, publisher: Me, dataset: mine, title: Mine, edition: "1",
   url: "https://e.org", licence: MIT, reader: markdown, folder: {path: docs}}
"""


def test_every_row_names_a_reader_and_a_valid_licence() -> None:
    licensing = get_spdx_licensing()
    for row in catalog.load().values():
        assert row.reader in READERS.names(), row.name
        unknown = [k for k in licensing.unknown_license_keys(row.licence) if not k.startswith("LicenseRef-")]
        assert not unknown, row.name
        assert row.methods, row.name


def test_the_manifests_spelling_becomes_spdx() -> None:
    assert (
        catalog.to_spdx("LicenseRef-US-Gov-Public-Domain (17 USC 105)") == "LicenseRef-US-Gov-Public-Domain"
    )
    assert catalog.to_spdx("MIT") == "MIT"


def test_a_users_catalog_stands_beside_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(ROW)
    rows = catalog.load(tmp_path / "mine.yaml")
    assert rows["mine"].folder
    assert rows["mine"].folder.path == str(tmp_path / "docs")
    assert "mitre-cwe" in rows


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("{", id="not YAML"),
        pytest.param("- {name: x}", id="missing fields"),
        pytest.param(ROW.replace("reader: markdown", "reader: markdown, colour: red"), id="unknown field"),
        pytest.param(ROW.replace("name: mine", "name: mitre-cwe"), id="name of the built-in catalog"),
        pytest.param(ROW.replace(", folder: {path: docs}", ""), id="no fetch method"),
        pytest.param("!!python/object/apply:os.system ['echo']", id="YAML tag"),
    ],
)
def test_a_broken_catalog_is_a_settings_error(tmp_path: Path, broken: str) -> None:
    (tmp_path / "mine.yaml").write_text(broken)
    with pytest.raises(SettingsError):
        catalog.load(tmp_path / "mine.yaml")


def test_an_unknown_name_says_which_there_are(settings: Settings) -> None:
    with pytest.raises(NotFoundError) as caught:
        catalog.get_source("nope", settings)
    assert "mitre-cwe" in caught.value.hint


def test_without_mirror_and_network_the_packages_are_what_trains(settings: Settings) -> None:
    assert catalog.list_default_sources(settings) == ["mitre-attack-enterprise-15.0", "mitre-cwe-4.14"]
    assert not catalog.check_availability(catalog.load()["mitre-cwe"], settings).is_local


def test_a_newer_edition_in_the_mirror_supersedes(
    settings: Settings, make_mirror: Callable[[dict[str, bytes]], Path]
) -> None:
    old = catalog.load()["mitre-cwe-4.14"]
    assert catalog.find_newer_edition(old, settings) is None
    url = "https://raw.githubusercontent.com/CWE-CAPEC/REST-API-wg/main/json_repo/W/1.json"
    settings = settings.model_copy(update={"mirror": make_mirror({url: b"{}"})})
    newer = catalog.find_newer_edition(old, settings)
    assert newer
    assert newer.name == "mitre-cwe"
    assert "mitre-cwe" in catalog.list_default_sources(settings)
    assert "mitre-cwe-4.14" not in catalog.list_default_sources(settings)


def test_the_reason_why_a_source_cannot_be_had(
    make_source: Callable[..., Source], settings: Settings
) -> None:
    source = make_source(folder=None, mirror=["https://e.org/*"])
    assert "SECURETAG_MIRROR" in catalog.check_availability(source, settings).reason
    only = settings.model_copy(update={"fetch": FetchSettings(mode="package")})
    assert catalog.check_availability(source, only).reason == "fetch.mode is package"


def test_a_package_is_found_without_being_imported() -> None:
    import sys

    package = catalog.load()["mitre-cwe-4.14"].package
    assert package
    assert catalog.find_package_file(package)
    assert "cwe2" not in sys.modules


def test_a_row_made_of_others_can_be_had_as_soon_as_one_of_them_can(
    settings: Settings, make_mirror: Callable[[dict[str, bytes]], Path], tmp_path: Path
) -> None:
    merged = catalog.load()["cve-merged"]
    assert not catalog.check_availability(merged, settings)
    assert "cisa-kev" in catalog.check_availability(merged, settings).reason
    base = "https://raw.githubusercontent.com/cisagov/kev-data/develop/known_exploited_vulnerabilities"
    settings = settings.model_copy(
        update={"mirror": make_mirror({f"{base}.json": b"{}", f"{base}.csv": b"cveID\n"})}
    )
    assert catalog.check_availability(merged, settings).is_local
    assert [row.name for row in catalog.list_usable_parts(merged, settings)] == ["cisa-kev"]
    newer = catalog.find_newer_edition(catalog.load()["cisa-kev"], settings)
    assert newer
    assert newer.name == "cve-merged"


def test_a_row_cannot_be_made_of_what_is_no_row_with_files(tmp_path: Path) -> None:
    for part in ("nope", "cve-merged", "mine"):
        row = ROW.replace("folder: {path: docs}", f"records: [{part}]")
        (tmp_path / "mine.yaml").write_text(row)
        with pytest.raises(SettingsError, match="no row with files"):
            catalog.load(tmp_path / "mine.yaml")
