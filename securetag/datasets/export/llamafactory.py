"""LLaMA-Factory: its alpaca and sharegpt formats, each with the `dataset_info.json` that names the files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from securetag.datasets.export.base import Format, Row, dataset_name, split_turns
from securetag.datasets.releases.manifest import Manifest
from securetag.records import Example

_DOCS = "https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md"


def _alpaca(example: Example) -> list[Row]:
    system, pairs = split_turns(example)
    question, answer = pairs[-1]
    history = [list(pair) for pair in pairs[:-1]]
    return [{"instruction": question, "input": "", "output": answer, "system": system, "history": history}]


def _sharegpt(example: Example) -> list[Row]:
    system, pairs = split_turns(example)
    conversation = [
        {"from": speaker, "value": text}
        for pair in pairs
        for speaker, text in zip(("human", "gpt"), pair, strict=True)
    ]
    return [{"conversations": conversation, "system": system}]


def _info(described: Mapping[str, object]) -> Callable[[Manifest, Sequence[str]], Mapping[str, str]]:
    def beside(manifest: Manifest, splits: Sequence[str]) -> Mapping[str, str]:
        info = {
            dataset_name(manifest, split): {"file_name": f"{split}.json", **described} for split in splits
        }
        return {"dataset_info.json": json.dumps(info, indent=2) + "\n"}

    return beside


ALPACA = Format(
    name="llamafactory-alpaca",
    documented=_DOCS,
    rows=_alpaca,
    array=True,
    beside=_info(
        {
            "formatting": "alpaca",
            "columns": {
                "prompt": "instruction",
                "query": "input",
                "response": "output",
                "system": "system",
                "history": "history",
            },
        }
    ),
    note="Point `dataset_dir` at this folder; `dataset` takes the names in dataset_info.json.",
)
SHAREGPT = Format(
    name="llamafactory-sharegpt",
    documented=_DOCS,
    rows=_sharegpt,
    array=True,
    beside=_info(
        {
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "system": "system"},
            "tags": {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"},
        }
    ),
    note=ALPACA.note,
)
