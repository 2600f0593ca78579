"""Axolotl: chat messages, and the part of its configuration that reads them as `chat_template`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from securetag.datasets.export.base import Format, Row, to_chat
from securetag.datasets.releases.manifest import Manifest
from securetag.records import Example


def _rows(example: Example) -> list[Row]:
    return [{"messages": to_chat(example)}]


def _beside(_manifest: Manifest, splits: Sequence[str]) -> Mapping[str, str]:
    def entry(split: str) -> dict[str, object]:
        return {
            "path": f"{split}.jsonl",
            "ds_type": "json",
            "type": "chat_template",
            "field_messages": "messages",
            "message_property_mappings": {"role": "role", "content": "content"},
            "roles_to_train": ["assistant"],
            "train_on_eos": "turn",
        }

    parts = {"datasets": "train", "test_datasets": "validation"}
    config = {key: [entry(split)] for key, split in parts.items() if split in splits}
    return {"axolotl.yaml": yaml.safe_dump({**config, "chat_template": "tokenizer_default"}, sort_keys=False)}


AXOLOTL = Format(
    name="axolotl",
    documented="https://docs.axolotl.ai/docs/dataset-formats/conversation.html",
    rows=_rows,
    beside=_beside,
    note="Add your model and training to axolotl.yaml; its paths count from this folder.",
)
