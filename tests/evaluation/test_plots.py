from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from securetag.evaluation import plots, suites
from securetag.evaluation.compare import Comparison, compare
from securetag.records import Example, JsonObject
from securetag.triage import Predictor


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.fixture
def comparison(examples: list[Example], constant: Predictor, noisy: Predictor) -> Comparison:
    return compare(suites.run_suite(constant, examples), suites.run_suite(noisy, examples))


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
    nothing = compare(suites.run_suite(perfect, []), suites.run_suite(perfect, []))
    size(plots.confusion_matrices(nothing))
    size(plots.axis_accuracy(nothing))


@pytest.mark.parametrize(
    "history",
    [
        [],
        [{"step": 1, "loss": float("nan")}, {"epoch": 1.0, "train_runtime": 3.0}],
        [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.1}, {"step": 2, "eval_loss": 1.3}, {"loss": 1.0}],
    ],
    ids=["empty", "nothing finite", "train and validation"],
)
def test_loss_curve_takes_the_trainers_log_as_it_is(history: list[JsonObject]) -> None:
    size(plots.loss_curve(history, caption="a run"))


def test_each_task_has_its_loss_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, tuple[list[float], list[float]]] = {}
    plot = Axes.plot

    def record_line(axes: Axes, *data: Sequence[float], **style: str) -> list[Line2D]:
        drawn[style["label"]] = (list(data[0]), list(data[1]))
        return plot(axes, *data, **style)

    monkeypatch.setattr(Axes, "plot", record_line)
    plots.loss_curve(
        [
            {"step": 1, "loss": 1.2, "task_share": {"triage": 1.0}},
            {"step": 2, "loss": 3.0, "task_share": {"qa": 1.0}},
            {"step": 3, "loss": float("inf"), "task_share": {"triage": 1.0}},
            {"step": 4, "loss": 0.2, "task_share": {"triage": 1.0}},
            {"step": 5, "loss": 0.7, "task_share": {"triage": 0.9, "qa": 0.1}},
            {"step": 4, "eval_triage_loss": 0.3, "eval_triage_runtime": 2.0},
            {"step": 4, "eval_mapping_loss": 0.9},
        ]
    )
    assert drawn == {
        "training, triage (last 0.200)": ([1, 4], [1.2, 0.2]),
        "training, qa (last 3.000)": ([2], [3.0]),
        "training, several tasks (last 0.700)": ([5], [0.7]),
        "validation, triage (last 0.300)": ([4], [0.3]),
        "validation, mapping (last 0.900)": ([4], [0.9]),
    }
