"""The licenses of the catalog, which ones stop a release, and their obligations."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetag.datasets.build import BuildParams
from securetag.datasets.licences import (
    UNKNOWN,
    Purpose,
    find_refused,
    is_allowed,
    list_obligations,
    needs_attribution,
)
from securetag.errors import LicenceError
from securetag.extractors import catalog
from securetag.pipeline.extract import extract
from securetag.pipeline.release import build_release
from securetag.settings import get_settings


def test_of_the_catalog_only_the_non_commercial_row_stops_a_release() -> None:
    rows = catalog.load()
    stopped = find_refused((row.licence for row in rows.values()), "internal")
    assert {name for name, row in rows.items() if row.licence in stopped} == {"hf-cti-bench"}
    assert "forbids commercial use" in stopped["CC-BY-NC-SA-4.0"]


@pytest.mark.mirror
@pytest.mark.parametrize("purpose", ["internal", "public"])
def test_a_release_that_names_non_commercial_data_is_refused(
    mirror: Path, monkeypatch: pytest.MonkeyPatch, purpose: Purpose
) -> None:
    monkeypatch.setenv("SECURETAG_MIRROR", str(mirror))
    get_settings.cache_clear()
    settings = get_settings()
    report, _ = extract("hf-cti-bench", settings)
    assert report.records > 500
    with pytest.raises(LicenceError, match=r"CC-BY-NC-SA-4\.0 forbids commercial use"):
        build_release(BuildParams(synthetic=0, purpose=purpose), settings, sources=["hf-cti-bench"])
    assert not list(settings.releases_dir.glob("[!.]*"))


@pytest.mark.parametrize(
    "expression",
    [
        "Apache-2.0 AND LicenseRef-Distilled-OpenAI",
        "LicenseRef-Distilled-Some-Vendor",
        "MIT AND (ISC AND LicenseRef-Distilled-X)",
    ],
)
def test_rows_distilled_from_a_vendors_model_stop_a_release(expression: str) -> None:
    for purpose in ("internal", "public"):
        with pytest.raises(LicenceError, match="answers of a model of"):
            is_allowed(expression, purpose)


def test_each_refused_expression_has_a_reason() -> None:
    refused = find_refused(["MIT", "GPL-3.0-only", "LicenseRef-Who-Knows", "MIT AND"], "public")
    assert refused["GPL-3.0-only"] == "not for public use"
    assert "isn't known to the license gate" in refused["LicenseRef-Who-Knows"]
    assert "no SPDX expression" in refused["MIT AND"]
    assert "MIT" not in refused


def test_obligations_name_the_licences_of_the_rows() -> None:
    obligations = list_obligations(
        ["CC-BY-SA-4.0", "LicenseRef-MITRE-CVE-Terms-of-Use AND CC-BY-4.0", "CC-BY-SA-3.0", "GPL-3.0-only"]
    )
    assert [line.split(" ", 3)[:2] for line in obligations] == [
        ["©", "The"],
        ["Rows", "under"],
        ["Rows", "under"],
    ]
    assert "CVE®" in obligations[0]
    assert "CC-BY-SA-3.0 and CC-BY-SA-4.0" in obligations[1]
    assert "GPL-3.0-only stay in the house" in obligations[2]
    assert list_obligations(["MIT", "CC0-1.0"]) == []
    assert list_obligations(["LicenseRef-Securetag-Tenant-Consent"]) == [
        "Rows of tenants' code are used by their consent alone, and go with it."
    ]
    assert list_obligations([UNKNOWN]) == ["Rows of code whose license nobody has read stay in the house."]


@pytest.mark.parametrize(
    ("expression", "needed"),
    [
        pytest.param("CC-BY-4.0", True, id="attribution"),
        pytest.param("MIT AND CC0-1.0", True, id="attribution in a conjunction"),
        pytest.param("CC0-1.0", False, id="public domain dedication"),
        pytest.param("LicenseRef-US-Gov-Public-Domain", False, id="government work"),
    ],
)
def test_licences_that_need_attribution(expression: str, needed: bool) -> None:
    assert needs_attribution(expression) is needed
