"""NOTICE and the card credit every publisher that a row names."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetag.datasets.build import BuildParams
from securetag.datasets.releases.notice import NOTICE
from securetag.datasets.releases.release import read_release, verify_release
from securetag.records import Facts, Record, Task
from tests.plugins.small_build import build_small


def make_record(number: int, publisher: str, source: str, licence: str, **facts: object) -> Record:
    return Record.of(
        source=source,
        publisher=publisher,
        key=f"T-{number}",
        title=f"Weak thing {number}",
        text=f"Thing {number} of {publisher} lets strangers in by door {number}. Look at hinge {number}.",
        lang="en",
        url=f"https://{source}.example/{number}",
        edition="1",
        licence=licence,
        file_sha256="0" * 64,
        locator=f"/{number}",
        facts=Facts(kind="weakness", **facts),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of a merged source, whose publishers differ by Record, and of another."""
    merged = ["CVE Program, NIST", "GitHub", "CVE Program, PyPA"]
    records = [make_record(n, name, "merged", "CC0-1.0") for n, name in enumerate(merged)]
    records += [make_record(n, "Tests", "tests", "CC-BY-SA-4.0") for n in range(3, 6)]
    built = build_small(
        tmp_path_factory.mktemp("notice"), records, BuildParams(synthetic=0, knowledge=50, profile="full")
    )
    return Path(built.path)


def test_each_publisher_is_credited_with_its_rows(folder: Path) -> None:
    text = (folder / NOTICE).read_text("utf-8")
    card = (folder / "README.md").read_text("utf-8")
    release = read_release(folder)
    rows = [*release.train, *release.validation, *release.test]
    for publisher in ("CVE Program", "GitHub", "NIST", "PyPA", "Tests"):
        n = sum(publisher in row.publisher.split(", ") for row in rows)
        assert n > 0
        assert f"  {publisher}: {n:,} rows" in text
        assert f"| {publisher} | {n:,} |" in card
    assert "CC-BY-SA-4.0, https://tests.example/3;" in text
    assert "share them under the same license" in text
    assert "NOTICE" in verify_release(folder).sidecars


def test_each_row_names_publisher_page_license_and_a_line(folder: Path) -> None:
    release = read_release(folder)
    for row in [*release.train, *release.validation, *release.test]:
        assert row.task is not Task.TRIAGE
        assert row.publisher
        assert row.url.startswith("https://")
        assert row.licence in row.attribution
        assert row.url in row.attribution


def test_the_card_shows_the_mix(folder: Path) -> None:
    card = (folder / "README.md").read_text("utf-8")
    assert "## Mix of the knowledge rows" in card
    assert "| task | qa |" in card
