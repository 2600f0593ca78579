"""TRL: conversational language modelling, and conversational prompt and completion.

A `messages` row trains the prompt too unless the chat template marks the assistant's turns: such a template,
for models that read ChatML (SmolLM2, Qwen), lies beside the rows.
"""

from __future__ import annotations

from securetag.datasets.export.base import Format, Row, Unfit, to_chat
from securetag.records import Example

#: ChatML whose assistant turns are marked, so that `assistant_only_loss` takes the loss over them alone
#: (https://huggingface.co/docs/transformers/chat_templating_writing).
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message["role"] == "assistant" -%}
{{- "<|im_start|>assistant\\n" -}}
{%- generation -%}
{{- message["content"] + "<|im_end|>" -}}
{%- endgeneration -%}
{{- "\\n" -}}
{%- else -%}
{{- "<|im_start|>" + message["role"] + "\\n" + message["content"] + "<|im_end|>\\n" -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- "<|im_start|>assistant\\n" -}}
{%- endif -%}
"""
_DOCS = "https://huggingface.co/docs/trl/dataset_formats"


def _messages(example: Example) -> list[Row]:
    return [{"messages": to_chat(example)}]


def _prompt_completion(example: Example) -> list[Row]:
    *prompt, completion = to_chat(example)
    if not prompt or completion["role"] != "assistant":
        raise Unfit("no question before the answer")
    return [{"prompt": prompt, "completion": [completion]}]


MESSAGES = Format(
    name="trl-messages",
    documented=_DOCS,
    rows=_messages,
    beside=lambda _manifest, _splits: {"chat_template.jinja": CHAT_TEMPLATE},
    note="TRL takes the loss over prompts too, unless the chat template marks the assistant's turns: for a "
    "model that reads ChatML, train with `assistant_only_loss=True` and `chat_template_path` at "
    "chat_template.jinja of this folder; for others, take `trl-prompt-completion` or mark the turns in the "
    "model's own template with `{% generation %}`.",
)
PROMPT_COMPLETION = Format(
    name="trl-prompt-completion",
    documented=_DOCS,
    rows=_prompt_completion,
    note="TRL's SFTTrainer takes the loss over the completion alone.",
)
