"""KTO: answers that people approved of or didn't, from their feedback on the model's verdicts.

Only rows that a person judged have any. What the model decided is known, its words aren't kept: its
answer is written again by the code that writes training answers, with the person's evidence. A model
that abstained gave no answer to judge, so such a row has the person's alone.
"""

from __future__ import annotations

from securetag import triage
from securetag.datasets.export.base import Format, Row, Unfit, to_chat
from securetag.errors import TriageError
from securetag.records import Decision, Example


def _rows(example: Example) -> list[Row]:
    if example.label_source != "analyst" or example.label is None:
        raise Unfit("no person's feedback")
    *prompt, answer = to_chat(example)
    desired = {"prompt": prompt, "completion": [answer], "label": True}
    if example.model_decision in (None, Decision.NEEDS_REVIEW, Decision(example.label)):
        return [desired]
    wrong = {"role": "assistant", "content": _said(example, example.model_decision)}
    return [desired, {"prompt": prompt, "completion": [wrong], "label": False}]


def _said(example: Example, decision: Decision) -> str:
    try:
        prompt = triage.read_prompt(example.messages, example.prompt_version, example.lang)
        answer = triage.parse(example.messages[-1].content, prompt)
    except TriageError as error:
        raise Unfit("no triage answer") from error
    return triage.answer(profile=prompt.profile, evidence=answer.evidence, verdict=decision)


KTO = Format(
    name="kto",
    documented="https://huggingface.co/docs/trl/dataset_formats#unpaired-preference",
    rows=_rows,
    note="`label` says whether a person gave the answer. A model's answer is rendered again from "
    "its decision.",
)
