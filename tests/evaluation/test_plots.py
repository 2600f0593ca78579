from __future__ import annotations

import struct

import pytest

from securetag.evaluation import plots, suites
from securetag.evaluation.compare import Comparison, compare
from securetag.records import Example
from securetag.triage import Predictor


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.fixture
def comparison(examples: list[Example], constant: Predictor, noisy: Predictor) -> Comparison:
    return compare(suites.run(constant, examples), suites.run(noisy, examples))


def test_pictures_are_png_and_the_same_bytes_each_time(comparison: Comparison) -> None:
    for draw in (plots.confusion_matrices, plots.axis_accuracy):
        picture = draw(comparison, caption=plots.EMBEDDED_CAPTION)
        width, height = size(picture)
        assert width > 900
        assert height > 400
        assert picture == draw(comparison, caption=plots.EMBEDDED_CAPTION)
        assert picture != draw(comparison, caption="")


def test_an_unknown_suite_has_no_picture(comparison: Comparison) -> None:
    with pytest.raises(KeyError):
        plots.confusion_matrices(comparison, suite="unseen_moon")


def test_nothing_scored_still_draws(perfect: Predictor) -> None:
    nothing = compare(suites.run(perfect, []), suites.run(perfect, []))
    size(plots.confusion_matrices(nothing))
    size(plots.axis_accuracy(nothing))


@pytest.mark.parametrize(
    "history",
    [
        [],
        [{"step": 1, "loss": float("nan")}, {"epoch": 1.0, "train_runtime": 3.0}],
        [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.1}, {"step": 2, "eval_loss": 1.3}, {"loss": 1.0}],
    ],
)
def test_loss_curve_takes_the_trainers_log_as_it_is(history: list[dict[str, float]]) -> None:
    size(plots.loss_curve(history, caption="a run"))
