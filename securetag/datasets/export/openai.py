"""OpenAI: JSON lines of chat messages for supervised fine-tuning."""

from __future__ import annotations

from securetag.datasets.export.base import Format, Row, Unfit, to_chat
from securetag.records import Example


def _rows(example: Example) -> list[Row]:
    # OpenAI refuses a message without text. An empty system message (profile `compact`) only keeps a chat
    # template from inserting its own, and OpenAI's models insert none.
    messages = [message for message in to_chat(example) if message["content"]]
    if messages[-1]["role"] != "assistant" or not any(m["role"] == "user" for m in messages):
        raise Unfit("no question before the answer")
    return [{"messages": messages}]


OPENAI = Format(
    name="openai",
    documented="https://platform.openai.com/docs/guides/supervised-fine-tuning",
    rows=_rows,
    note="Uploading it gives the rows to a third party: NOTICE says under which terms they stand.",
)
