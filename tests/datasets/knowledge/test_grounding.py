"""Precision and recall of the grounding check on answers labeled by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from growth import assert_grows_linearly
from hypothesis import given
from hypothesis import strategies as st

from securetag.datasets.drops import DropReason
from securetag.datasets.knowledge import grounding
from securetag.records import JsonObject

LABELLED: dict[str, list[JsonObject]] = yaml.safe_load(
    Path(__file__).with_name("grounding.yaml").read_text("utf-8")
)
SECTION = grounding.read_section(
    "## Keys\nRotate keys of 2,048 bits every 90 days, says CWE-321. Call `rotate_keys()` first. "
    "The old key is never deleted before its data is read.",
    "en",
)


def figures(part: str) -> tuple[float, float]:
    """(precision, recall) of keeping good answers."""
    kept: dict[str, list[bool]] = {"good": [], "bad": []}
    for entry in LABELLED[part]:
        source = grounding.read_section(entry["text"], entry["lang"])
        for kind, answers in kept.items():
            answers += [grounding.check_grounding(answer, source) is None for answer in entry[kind]]
    right = sum(kept["good"])
    return right / (right + sum(kept["bad"])), right / len(kept["good"])


def test_precision_and_recall_on_answers_that_did_not_set_the_threshold() -> None:
    # Measured .833 and .862 on 29 good and 39 bad answers; a random half of these would give .43 precision.
    precision, recall = figures("hold")
    assert precision >= 0.83
    assert recall >= 0.86
    # Measured .920 and .920 where the threshold was chosen.
    assert min(figures("choose")) >= 0.91


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param("Rotate keys every 90 days.", None, id="same number"),
        pytest.param(
            "Rotate keys of 2048 bits every 90 days (CWE-321).", None, id="number without separator"
        ),
        pytest.param("Rotate keys every 30 days.", DropReason.INVENTED_NUMBER, id="other number"),
        pytest.param("Rotate keys, says CWE-322.", DropReason.INVENTED_NUMBER, id="other identifier"),
        pytest.param("Rotate keys with Vault every 90 days.", DropReason.INVENTED_NAME, id="unknown name"),
        pytest.param("Call `delete_keys()` first.", DropReason.INVENTED_CODE, id="unknown call"),
        pytest.param("Call deleteKeys first.", DropReason.INVENTED_CODE, id="unknown camel-case name"),
        pytest.param("Rotate keys, which are “burnt” first.", DropReason.INVENTED_QUOTE, id="unknown quote"),
        pytest.param(
            "Hardware modules protect keys against theft.", DropReason.UNSUPPORTED, id="unsupported claim"
        ),
        pytest.param(
            "The old key is deleted before its data is read.", DropReason.CONTRADICTED, id="negation dropped"
        ),
        pytest.param("", DropReason.UNSUPPORTED, id="empty answer"),
    ],
)
def test_each_ungrounded_answer_has_its_reason(answer: str, reason: str | None) -> None:
    assert grounding.check_grounding(answer, SECTION) == reason


@given(st.text(max_size=300), st.text(max_size=300), st.sampled_from(["en", "es"]))
def test_any_text_is_checked(text: str, answer: str, lang: str) -> None:
    assert grounding.check_grounding(answer, grounding.read_section(text, lang)) in (None, *grounding.REASONS)


@pytest.mark.parametrize("piece", ["a", "(", "a.", "1-", "`", "A-"])
def test_the_cost_of_a_hostile_section_is_linear(piece: str) -> None:
    def judge(text: str) -> object:
        return grounding.check_grounding(text[:1000], grounding.read_section(text, "en"))

    assert_grows_linearly(judge, lambda times: piece * times, 40_000)
