"""A user's PDF goes through Dagster: folder source, Records, questions, release, and back to its page."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from securetag.assets.dataset import release
from securetag.assets.sources import records_asset, records_key
from securetag.datasets.releases.release import read_release
from securetag.extractors import catalog
from securetag.extractors.record_files import read_records
from securetag.pipeline.trace import trace
from securetag.settings import get_settings

pytestmark = pytest.mark.system

PAGES = (
    (
        "Passwords",
        "Every password of a service must be rotated within a year of its first use. A vault keeps the old "
        "one for a month, so that a deployment which still reads it can be found and mended before it stops.",
    ),
    (
        "Uploads",
        "A file that a customer sends must be stored outside of the folder that a web server shows. Its name "
        "is replaced by a random one, and its type is read from its first bytes rather than from its ending.",
    ),
    (
        "Logs",
        "Each sign-in must be written to a log that nobody can change, with the time and the address. "
        "Secrets are left out of it, since many people read logs, and it is kept for a year.",
    ),
)


def make_pdf(path: Path) -> None:
    """Write a document of three pages, a chapter each, with an outline."""
    import pymupdf

    document = pymupdf.open()
    for number, (title, text) in enumerate(PAGES, 1):
        page = document.new_page()
        page.insert_text((72, 100), f"{number} {title}", fontsize=16, fontname="hebo")
        page.insert_textbox((72, 130, 450, 600), text, fontsize=11)
    document.set_toc([[1, f"{number} {title}", number] for number, (title, _) in enumerate(PAGES, 1)])
    document.save(path)


def test_a_users_pdf_becomes_rows_that_lead_back_to_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    make_pdf(documents / "guide.pdf")
    row = {
        "name": "our-guides",
        "tier": "extended",
        "publisher": "Us",
        "dataset": "our-guides",
        "title": "Our guides",
        "edition": "1",
        "url": "https://example.org/guides",
        "licence": "LicenseRef-Internal",
        "reader": "pdf",
        # Chapters of a page are Records of their own.
        "options": {"whole": 200},
        "folder": {"path": str(documents)},
    }
    (tmp_path / "catalog.yaml").write_text(json.dumps([row]))
    monkeypatch.setenv("SECURETAG_CATALOG", str(tmp_path / "catalog.yaml"))
    get_settings.cache_clear()
    settings = get_settings()
    source = catalog.load(settings.catalog)["our-guides"]

    result = dg.materialize(
        [records_asset(source, frozenset({"our-guides"})), release],
        resources={"settings": settings},
        run_config={
            "ops": {"release": {"config": {"profile": "full", "synthetic": 0, "knowledge": 50}}},
        },
    )

    assert result.success
    (extracted,) = result.asset_materializations_for_node(records_key("our-guides").to_python_identifier())
    assert extracted.metadata["dagster/row_count"].value == len(PAGES)
    built = next(
        event for event in result.asset_materializations_for_node("release") if "digest" in event.metadata
    )
    folder = Path(str(built.metadata["path"].value))
    records = {record.id: record for record in read_records(settings.records_dir / "our-guides.jsonl")}
    rows = read_release(folder)
    questions = [*rows.train, *rows.validation, *rows.test]
    assert {origin.record_id for row in questions for origin in row.origins} == set(records)
    assert all(
        row.publisher == "Us" and row.url.startswith("https://example.org/guides") for row in questions
    )
    for question in questions:
        (origin,) = question.origins
        record = records[origin.record_id or ""]
        number = next(n for n, (title, _) in enumerate(PAGES, 1) if title in record.title)
        assert record.locator == f"page {number}"
        assert question.url.endswith(f"guide.pdf#page={number}")
        traced = json.dumps(trace(question.id, settings), default=str)
        assert record.id in traced
