"""What every export has in common: rows by split, and what says whose they are.

An export folder holds one file a split, whatever the trainer wants beside it, `README.md`, `NOTICE`
(licenses and whom to name), `provenance.jsonl` (file, row, example, source and license of each row:
most formats have no room for that in the row itself) and `export.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from securetag.datasets.releases.manifest import NAME_LENGTH, Manifest
from securetag.records import Example, JsonObject

Row = JsonObject


class Unfit(Exception):
    """The format can't hold this example; the message says why, and is counted."""


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """One format that a trainer reads."""

    name: str
    #: Where its publisher describes it.
    documented: str
    #: Example → its rows, mostly one. Raises Unfit.
    rows: Callable[[Example], Sequence[Row]]
    #: Whether one JSON array a file, False = one JSON object a line.
    array: bool = False
    #: (release, names of the written splits) → further files by name.
    beside: Callable[[Manifest, Sequence[str]], Mapping[str, str]] = lambda _manifest, _splits: {}
    #: What its reader should know.
    note: str = ""

    def file(self, split: str) -> str:
        """Name of a split's file."""
        return f"{split}.json" if self.array else f"{split}.jsonl"


def to_chat(example: Example) -> list[dict[str, str]]:
    """Messages as OpenAI and the chat templates of transformers spell them."""
    return [{"role": message.role, "content": message.content} for message in example.messages]


def split_turns(example: Example) -> tuple[str, list[tuple[str, str]]]:
    """(system text or empty, pairs of question and answer). Raises Unfit for another order."""
    messages = list(example.messages)
    system = messages.pop(0).content if messages and messages[0].role == "system" else ""
    questions, answers = messages[::2], messages[1::2]
    if (
        len(questions) != len(answers)
        or not questions
        or any(message.role != "user" for message in questions)
        or any(message.role != "assistant" for message in answers)
    ):
        raise Unfit("question and answer don't alternate")
    return system, [(q.content, a.content) for q, a in zip(questions, answers, strict=True)]


def dataset_name(manifest: Manifest, split: str) -> str:
    """`securetag_0123456789ab_train`: how a split is called where a format wants a name."""
    return f"securetag_{manifest.digest[:NAME_LENGTH]}_{split}"
