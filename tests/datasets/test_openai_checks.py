"""What OpenAI's documentation checks of a file before a fine-tuning, on a real release of either profile.

The seven checks of https://cookbook.openai.com/examples/chat_finetuning_data_prep, and the limits of
https://platform.openai.com/docs/guides/supervised-fine-tuning (at least ten examples a file, 512 MB).
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from securetag.datasets.build import ReleaseSummary
from securetag.datasets.export import export

MIN_EXAMPLES, MAX_BYTES = 10, 512 << 20
KEYS = {"role", "content", "name", "function_call", "weight"}
ROLES = {"system", "user", "assistant", "function"}


def find_errors(rows: list[Any]) -> Counter[str]:
    """Return kind of error → how many, in the words of the documentation."""
    errors: Counter[str] = Counter()
    for row in rows:
        if not isinstance(row, dict):
            errors["data_type"] += 1
            continue
        messages = row.get("messages")
        if not messages:
            errors["missing_messages_list"] += 1
            continue
        for message in messages:
            errors["message_missing_key"] += not {"role", "content"} <= set(message)
            errors["message_unrecognized_key"] += not set(message) <= KEYS
            errors["unrecognized_role"] += message.get("role") not in ROLES
            content = message.get("content")
            errors["missing_content"] += not isinstance(content, str) or not content
        roles = [message.get("role") for message in messages]
        errors["example_missing_assistant_message"] += "assistant" not in roles
    return +errors


@pytest.mark.parametrize(
    ("row", "error"),
    [
        pytest.param([], "data_type", id="a list"),
        pytest.param({}, "missing_messages_list", id="no messages"),
        pytest.param({"messages": [{"role": "assistant"}]}, "message_missing_key", id="no content"),
        pytest.param(
            {"messages": [{"role": "assistant", "content": "a", "x": 1}]},
            "message_unrecognized_key",
            id="a key",
        ),
        pytest.param({"messages": [{"role": "human", "content": "a"}]}, "unrecognized_role", id="a role"),
        pytest.param({"messages": [{"role": "assistant", "content": ""}]}, "missing_content", id="empty"),
        pytest.param(
            {"messages": [{"role": "user", "content": "a"}]},
            "example_missing_assistant_message",
            id="no answer",
        ),
    ],
)
def test_each_check_finds_its_error(row: Any, error: str) -> None:
    assert find_errors([row])[error] == 1


def test_an_export_passes_all_checks(built: ReleaseSummary, tmp_path: Path) -> None:
    """Profile compact, whose prompts have an empty system message."""
    done = export(Path(built.path), "openai", tmp_path / "out")
    assert done.left_out == {}
    for split, n in done.rows.items():
        file = tmp_path / "out" / f"{split}.jsonl"
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        assert len(rows) == n >= MIN_EXAMPLES
        assert file.stat().st_size <= MAX_BYTES
        assert find_errors(rows) == {}
