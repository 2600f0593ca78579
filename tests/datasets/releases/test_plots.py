"""Plots of a built release: reproducible, linked in the card, sealed, and equal to the counts."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from securetag.datasets.build import ReleaseSummary
from securetag.datasets.releases import plots, release
from securetag.errors import ReleaseError


def test_the_card_shows_the_plots_and_the_seal_covers_them(built: ReleaseSummary) -> None:
    folder = Path(built.path)
    body = (folder / "README.md").read_text()
    manifest = release.verify_release(folder)
    for name in plots.ALT:
        content = (folder / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert f"]({name})" in body
        assert name in manifest.sidecars


def test_the_same_rows_give_the_same_bytes(built: ReleaseSummary) -> None:
    rows_by_split = release.read_release(Path(built.path))
    rows = [*rows_by_split.train, *rows_by_split.validation, *rows_by_split.test]
    drawn = plots.draw_plots(rows, rows_by_split.manifest.counts)
    assert drawn == plots.draw_plots(list(reversed(rows)), rows_by_split.manifest.counts)
    assert drawn == {name: (Path(built.path) / name).read_bytes() for name in plots.ALT}


def test_the_funnel_never_grows_and_ends_with_the_release(built: ReleaseSummary) -> None:
    counts = release.verify_release(Path(built.path)).counts
    left = list(plots.count_after_steps(counts).values())
    assert left[-1] == built.rows
    assert all(before > after for before, after in itertools.pairwise(left))
    assert left[0] - left[-1] + plots.count_before_rows(counts) == sum(counts["dropped"].values())


def test_a_release_without_rows_can_be_plotted() -> None:
    counts = {"splits": {}, "dropped": {"row_short_answer": 3}, "by_source": {}}
    assert plots.count_after_steps(counts) == {"made": 3, "after filters": 0}
    assert set(plots.draw_plots([], counts)) == set(plots.ALT)


def test_a_changed_plot_is_refused(built: ReleaseSummary, tmp_path: Path) -> None:
    folder = tmp_path / built.release
    folder.mkdir()
    for file in Path(built.path).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "funnel.png").write_bytes(b"other")
    with pytest.raises(ReleaseError, match=r"funnel\.png was changed"):
        release.verify_release(folder)
