"""What holds of every Record of every source that the mirror answers for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from long_books import with_long_ones

from securetag.extractors import catalog
from securetag.extractors.record_files import Extraction
from securetag.extractors.text import prose

pytestmark = [pytest.mark.mirror, pytest.mark.system]

SOURCES = sorted(row.name for row in catalog.load().values() if row.mirror)


@pytest.mark.parametrize("name", with_long_ones(SOURCES))
def test_every_record_is_clean_and_nothing_failed(name: str, golden: Callable[[str], Extraction]) -> None:
    extraction = golden(name)
    assert extraction.report.failures == []
    assert extraction.records
    for record in extraction.records:
        facts = record.facts
        texts = [record.title, record.text, *facts.mitigations, *facts.detections, *facts.consequences]
        for text in [*texts, *facts.examples, facts.instruction or "", facts.response or ""]:
            assert prose.find_residue(text) == [], record.key
            assert prose.find_code_residue(text) == [], record.key
        assert record.url.startswith("https://")
        assert record.licence
