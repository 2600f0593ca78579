"""A gate's file: what is mistyped or not there is refused, with what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetag.errors import SettingsError
from securetag.evaluation import gate

HEAD = "name: x\nmin_examples: 1\nmin_per_label: 1\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: x", "missing required field"),
        ("[1, 2", "expected"),
        ("name: x\nmin_examples: 0\nmin_per_label: 1\nrequire: []", ">= 1"),
        (HEAD + "require: []", "length >= 1"),
        (HEAD + "required: []", "unknown field"),
        (HEAD + "require: [{metric: f2, rule: significantly_better}]", "is none of"),
        (HEAD + "require: [{metric: accuracy, rule: hope}]", "Invalid enum"),
        (HEAD + "require: [{metric: accuracy, rule: lower_bound_at_least}]", "needs a value"),
        (HEAD + "require: [{metric: accuracy, rule: significantly_better, value: 0.5}]", "takes no value"),
        (HEAD + "require: [{metric: json_validity, rule: lower_bound_above_majority}]", "no majority"),
        (HEAD + "require: [{metric: lost, rule: significantly_better}]", "doesn't fit"),
        (HEAD + "require: [{metric: auc, rule: not_below_baseline, value: 0.01}]", "belongs to"),
        (HEAD + "require: [{metric: auc, rule: not_below_baseline, baseline: tfidf}]", "needs a value"),
    ],
    ids=[
        "missing field",
        "not YAML",
        "no example",
        "no requirement",
        "unknown field",
        "unknown metric",
        "unknown rule",
        "missing value",
        "needless value",
        "no majority",
        "rule of another metric",
        "missing baseline",
        "missing margin",
    ],
)
def test_a_gate_that_is_mistyped_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=reason) as caught:
        gate.load(path)
    assert "demo.yaml" in caught.value.hint
    assert gate.find_gate(str(path)) == path
    with pytest.raises(SettingsError):
        gate.load(tmp_path / "absent.yaml")


def test_a_gate_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no gate prodution") as caught:
        gate.find_gate("prodution")
    assert "demo, production" in caught.value.hint
    with pytest.raises(SettingsError, match="there is no gate"):
        gate.find_gate(str(tmp_path))
