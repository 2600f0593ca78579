"""Constructed held-out sets and predictors: what a gate must tell apart."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from constructed_models import SAFE, truth

from securetag import triage
from securetag.records import Decision, Example, Finding, JsonObject, Label, Message, Origin, Task
from securetag.triage import Completion, Predictor

AXES = ["in_distribution", "unseen_sink", "unseen_framework", "unseen_guard"]


def make_example(number: int, label: Label, axis: str | None, *, group: str | None = None) -> Example:
    guard = SAFE if label == "false_positive" else "raw"
    value = f"{guard}(request.args['q{number}'])"
    snippet = f"def view_{number}(request):\n    value = {value}\n    cursor.execute(value)\n"
    finding = Finding(
        tool="semgrep",
        rule_id="securetag.python.sql-injection",
        cwe="CWE-89",
        title="SQL injection",
        message="m",
        severity="high",
        confidence="high",
        language="python",
        path="app.py",
        start_line=3,
        end_line=3,
        snippet=snippet,
        snippet_line=1,
        scope=f"view_{number}",
        fingerprint="v1:" + "0" * 64,
    )
    prompt = triage.render(finding, profile="compact")
    answer = triage.answer(profile="compact", evidence=[(3, 3)], verdict=Decision(label))
    example = Example.of(
        task=Task.TRIAGE,
        messages=[*prompt.messages, Message("assistant", answer)],
        lang="en",
        licence="Apache-2.0",
        group=group or f"group-{number}",
        origin="composition",
        origins=[Origin(record_id="0" * 64)],
        source="synthetic",
        label=label,
        label_source="execution",
        prompt_version=prompt.version,
    )
    return Example(**{**{f: getattr(example, f) for f in example.__struct_fields__}, "axis": axis})


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    """120 triage rows: 30 an axis, half of each label, contrastive pairs in one group."""
    rows = []
    for number in range(120):
        label: Label = "true_positive" if number % 2 else "false_positive"
        rows.append(make_example(number, label, AXES[number % 8 // 2], group=f"pair-{number // 2}"))
    return rows


def _compact(verdict: str) -> str:
    return triage.answer(profile="compact", evidence=[(3, 3)], verdict=Decision(verdict))


def predictor(
    decide: Callable[[str, random.Random], str], *, model_id: str, formatted: float = 1.0
) -> Predictor:
    """A model that answers `decide(prompt, random)`; free answers are valid JSON with chance `formatted`.

    The randomness is of the prompt alone, so that threads don't change the answers.
    """

    def predict(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        dice = random.Random(f"{model_id}:{messages[-1].content}")
        text = _compact(decide(messages[-1].content, dice))
        if schema is None and dice.random() >= formatted:
            text = "The flagged line looks like it could be a vulnerability because"
        return Completion(text=text, model_id=model_id, alias="test", prompt_tokens=90, completion_tokens=18)

    return predict


@pytest.fixture(scope="session")
def release_rows() -> dict[str, list[Example]]:
    """400 rows each to train, to validate and to test on, contrastive pairs in one group, one axis."""
    rows: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
    for number in range(1200):
        label: Label = "true_positive" if number % 2 else "false_positive"
        split = ("train", "validation", "test")[number // 400]
        axis = "in_distribution" if split == "test" else None
        rows[split].append(make_example(number, label, axis, group=f"pair-{number // 2}"))
    return rows


def other(verdict: str) -> str:
    return "true_positive" if verdict == "false_positive" else "false_positive"


@pytest.fixture
def perfect() -> Predictor:
    return predictor(lambda prompt, _: truth(prompt), model_id="perfect")


@pytest.fixture
def constant() -> Predictor:
    """Like the untrained base: without a schema no JSON, with one always `true_positive`."""
    return predictor(lambda _, __: "true_positive", model_id="constant", formatted=0.0)


@pytest.fixture
def noisy() -> Predictor:
    """Right three times in four, well-formed nine times in ten."""
    return predictor(
        lambda prompt, dice: truth(prompt) if dice.random() < 0.75 else other(truth(prompt)),
        model_id="noisy",
        formatted=0.9,
    )


@pytest.fixture
def dismissive() -> Predictor:
    """Well-formed, and blind: every finding is a false positive."""
    return predictor(lambda _, __: "false_positive", model_id="dismissive")


@pytest.fixture
def broken() -> Predictor:
    def predict(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        raise RuntimeError("the slot crashed")

    return predict
