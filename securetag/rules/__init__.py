"""Our own Semgrep rules, and what is known of each beside its patterns.

`python/` and `javascript/` hold one YAML a family of rules, readable by Semgrep as it stands.
`cases/` holds code that each rule must and must not flag. `catalogue` gives a rule's words and
classification, `compiled_pack` the one file that a scan reads, `score` compares a scan's findings
with a ground truth.

The taint rules report guarded code too, and triage judges whether the guard holds; JavaScript's know the few
calls that leave no text. docs/rules.md says what that buys and what it costs.
"""

from securetag.rules.accuracy import Accuracy, ClassScore, TruthRow, read_truth, score
from securetag.rules.metadata import RuleMetadata, Text
from securetag.rules.pack import catalogue, compiled_pack, pack_sha256

__all__ = [
    "Accuracy",
    "ClassScore",
    "RuleMetadata",
    "Text",
    "TruthRow",
    "catalogue",
    "compiled_pack",
    "pack_sha256",
    "read_truth",
    "score",
]
