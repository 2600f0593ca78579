"""Which findings `securetag scan` shows and counts."""

from __future__ import annotations

import pytest

from securetag.cli.scan.confidence import describe_hidden, select_confident
from securetag.cli.scan.options import MinConfidence
from securetag.records import Confidence, JsonObject
from securetag.wire.api import FindingAnswer, VerdictAnswer
from securetag.wire.feedback import FeedbackAnswer


def answer(confidence: Confidence, rank: int = 0, **fields: JsonObject) -> FindingAnswer:
    model, feedback = fields.get("verdict"), fields.get("feedback")
    return FindingAnswer.model_construct(
        confidence=confidence,
        rank=rank,
        verdict=model and VerdictAnswer.model_construct(**model),
        feedback=feedback and FeedbackAnswer.model_construct(**feedback),
    )


@pytest.mark.parametrize(
    ("minimum", "ranks"), [("low", [9, 5, 2]), ("medium", [9, 5]), ("high", [5])], ids=str
)
def test_from_a_confidence_on_by_rank(minimum: MinConfidence, ranks: list[int]) -> None:
    findings = [answer("low", 2), answer("high", 5), answer("medium", 9)]
    assert [finding.rank for finding in select_confident(findings, minimum)] == ranks


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"feedback": {"verdict": "true_positive", "source": "person"}}, True),
        ({"feedback": {"verdict": "true_positive", "source": "script"}}, False),
        ({"feedback": {"verdict": "needs_review", "source": "person"}}, False),
        ({"verdict": {"decision": "true_positive", "gate": "production"}}, True),
        ({"verdict": {"decision": "true_positive", "gate": "demo"}}, False),
    ],
    ids=["person", "script", "unsure person", "production gate", "demo gate"],
)
def test_what_somebody_confirmed_is_shown_whatever_its_confidence(
    fields: dict[str, JsonObject], shown: bool
) -> None:
    assert bool(select_confident([answer("low", **fields)], "medium")) is shown


def test_the_line_names_the_way_to_see_the_others() -> None:
    assert describe_hidden(0, "medium") == ""
    assert describe_hidden(1, "medium").startswith("1 finding is below medium confidence, not shown and not")
    assert describe_hidden(1200, "high").endswith(
        "--min-confidence low or --min-confidence medium shows more"
    )
