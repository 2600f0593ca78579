"""Examples for review in Argilla, and the answers that come back.

The bundle is what `argilla.Dataset.to_disk` writes and `from_disk` reads: `.argilla/dataset.json`,
`.argilla/settings.json` and `records.json`
(https://docs.argilla.io/latest/how_to_guides/import_export/). With an overlap of n, Argilla asks for n
people's answers before it calls a record complete. Our code writes and reads JSON alone; the client,
which needs a server and a key, belongs to the person who loads the bundle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from securetag.datasets.export.base import to_chat
from securetag.datasets.releases.manifest import NAME_LENGTH
from securetag.datasets.releases.release import Release
from securetag.datasets.reviews.review import Answer, Review
from securetag.errors import InputError
from securetag.records import Example, JsonObject

QUESTION, COMMENT = "answer", "comment"
_GUIDELINES = (
    "Read the whole row. Accept it if the answer is right, follows from what the row shows, and is "
    "something that a model should say. Reject it otherwise, and say why in a sentence."
)
_METADATA = ("task", "source", "label", "split", "licence", "release")


class _Response(msgspec.Struct, frozen=True):
    value: object
    user_id: str
    status: str | None = None


class _Record(msgspec.Struct, frozen=True):
    id: str
    responses: dict[str, list[_Response]] = {}
    metadata: JsonObject = {}


def sample_rows(release: Release, number: int, seed: int) -> list[Example]:
    """A seeded choice of at most `number` examples, in turn from every pair of source and label."""
    parts: dict[tuple[str, str], list[Example]] = {}
    every = [*release.train, *release.validation, *release.test]
    for example in sorted(every, key=lambda row: hashlib.sha256(f"{seed}/{row.id}".encode()).digest()):
        parts.setdefault((example.source, example.label or ""), []).append(example)
    turns = [(place, key, row) for key, rows in parts.items() for place, row in enumerate(rows)]
    return [row for _, _, row in sorted(turns, key=lambda turn: turn[:2])[:number]]


def make_bundle(examples: Sequence[Example], release: str, *, overlap: int) -> dict[str, str]:
    """File name → JSON. Raises InputError for an overlap below one."""
    if overlap < 1:
        raise InputError("somebody must review each row", hint="Give an overlap of 1 or more.")
    name = f"securetag-{release[:NAME_LENGTH]}-review"
    distribution = {"strategy": "overlap", "min_submitted": overlap}
    settings = {
        "guidelines": _GUIDELINES,
        "allow_extra_metadata": False,
        "distribution": distribution,
        "mapping": None,
        "vectors": [],
        "fields": [
            {
                "name": "conversation",
                "title": "Row",
                "type": "chat",
                "required": True,
                "settings": {"type": "chat", "use_markdown": True},
            }
        ],
        "questions": [
            {
                "name": QUESTION,
                "title": "Should a model learn this?",
                "type": "label_selection",
                "required": True,
                "settings": {
                    "type": "label_selection",
                    "visible_options": None,
                    "options": [{"text": "Accept", "value": "accept"}, {"text": "Reject", "value": "reject"}],
                },
            },
            {
                "name": COMMENT,
                "title": "Why?",
                "type": "text",
                "required": False,
                "settings": {"type": "text", "use_markdown": False},
            },
        ],
        "metadata": [
            {
                "name": field,
                "title": field.capitalize(),
                "visible_for_annotators": field != "label",
                "settings": {"type": "terms", "visible_for_annotators": field != "label", "values": None},
            }
            for field in _METADATA
        ],
    }
    dataset = {
        "name": name,
        "status": "draft",
        "guidelines": _GUIDELINES,
        "allow_extra_metadata": False,
        "distribution": distribution,
    }
    return {
        ".argilla/settings.json": json.dumps(settings, indent=2) + "\n",
        ".argilla/dataset.json": json.dumps(dataset, indent=2) + "\n",
        "records.json": json.dumps([_record(example, release) for example in examples], ensure_ascii=False)
        + "\n",
    }


def _record(example: Example, release: str) -> JsonObject:
    metadata = {
        "task": example.task.value,
        "source": example.source,
        "label": example.label,
        "split": example.split,
        "licence": example.licence,
        "release": release[:NAME_LENGTH],
    }
    return {
        "id": example.id,
        "fields": {"conversation": to_chat(example)},
        "metadata": {name: value for name, value in metadata.items() if value},
        "suggestions": {},
        "responses": {},
        "vectors": {},
    }


def read_answers(path: Path, *, at: str) -> list[Review]:
    """The submitted answers of an exported dataset (its folder, or its `records.json`).

    Argilla's export names no time of an answer, so `at` is that of the import. Drafts and discarded
    answers are none. Raises InputError for a file of another form, or an answer that isn't ours.
    """
    file = path / "records.json" if path.is_dir() else path
    try:
        records = msgspec.json.decode(file.read_bytes(), type=list[_Record])
    except (OSError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InputError(
            f"{file} holds no records of Argilla: {error}",
            hint="Export them with `dataset.to_disk(folder)` or `dataset.records.to_json(file)`.",
        ) from error
    return [review for record in records for review in _reviews(record, at)]


def _reviews(record: _Record, at: str) -> list[Review]:
    comments = {response.user_id: response.value for response in record.responses.get(COMMENT, [])}
    reviews: list[Review] = []
    for response in record.responses.get(QUESTION, []):
        if response.status not in (None, "submitted"):
            continue
        reviews.append(
            Review(
                example_id=record.id,
                answer=_answer(response.value, record.id),
                reviewer=f"argilla/{response.user_id}",
                at=at,
                release=str(record.metadata.get("release", "")),
                comment=str(comments.get(response.user_id) or ""),
            )
        )
    return reviews


def _answer(value: object, record: str) -> Answer:
    if value == "accept":
        return "accept"
    if value == "reject":
        return "reject"
    raise InputError(f"record {record}: {value!r} is neither accept nor reject")
