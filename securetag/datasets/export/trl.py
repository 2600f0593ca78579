"""TRL: conversational language modelling, and conversational prompt and completion."""

from __future__ import annotations

from securetag.datasets.export.base import Format, Row, Unfit, to_chat
from securetag.records import Example

_DOCS = "https://huggingface.co/docs/trl/dataset_formats"


def _messages(example: Example) -> list[Row]:
    return [{"messages": to_chat(example)}]


def _prompt_completion(example: Example) -> list[Row]:
    *prompt, completion = to_chat(example)
    if not prompt or completion["role"] != "assistant":
        raise Unfit("no question before the answer")
    return [{"prompt": prompt, "completion": [completion]}]


MESSAGES = Format(name="trl-messages", documented=_DOCS, rows=_messages)
PROMPT_COMPLETION = Format(
    name="trl-prompt-completion",
    documented=_DOCS,
    rows=_prompt_completion,
    note="TRL's SFTTrainer takes the loss over the completion alone.",
)
