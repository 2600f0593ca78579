"""What is kept of a text that is too long: its beginning, in whole blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from securetag.datasets.knowledge.draft import fit, shorten


@given(st.text(), st.integers(10, 400))
def test_a_shortened_text_is_a_beginning_within_its_limit(text: str, limit: int) -> None:
    kept = shorten(text, limit)
    assert len(kept) <= limit
    assert text.strip().startswith(kept)
    assert kept.count("```") % 2 == 0 or kept == text.strip()


@given(
    st.lists(st.sampled_from(["Prose here.", "- item", "```\ncode\n```", "Announces:", "## Head", "1. one"])),
    st.integers(5, 60),
)
def test_fitting_keeps_whole_blocks(blocks: list[str], limit: int) -> None:
    text = "\n\n".join(blocks)
    kept = fit(text, limit)
    assert len(kept) <= limit
    assert text.strip().startswith(kept)
    assert kept == text.strip() or not kept.endswith(":")
