"""Which Records and Examples are kept, and for what reason the others aren't.

Every filter answers with a reason in words, or None: None = kept. The reasons are counted and stand
in the release's card.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from securetag.datasets.licences import Purpose, allowed
from securetag.records import Example, Record, Status, Task
from securetag.triage import MAX_COMPLETION_TOKENS, Profile

#: Prompt and completion tokens that a row may take, by profile.
MAX_TOKENS: dict[Profile, int] = {"compact": 512, "full": 4096}
#: Tokens that a chat template adds to a conversation (SmolLM2's and Llama 3.1's stay below).
TEMPLATE_TOKENS = 24
#: SmolLM2 reads at least 2.3 characters of code a token, 3.6 of prose; the estimate must not be too low.
CHARS_PER_TOKEN = 2.2
#: A Record with less text than this says nothing.
MIN_RECORD_CHARS = 40
#: A key (`CWE-1`) answers a mapping; a question wants a sentence.
MIN_ANSWER_CHARS: dict[Task, int] = {Task.MAPPING: 3, Task.QA: 20, Task.TRIAGE: 8, Task.REMEDIATION: 8}

#: Text → number of tokens.
TokenCount = Callable[[str], int]


def estimate(text: str) -> int:
    """Tokens of a text, estimated from above for code and prose in Latin script."""
    return int(len(text) / CHARS_PER_TOKEN) + 1


def of_record(record: Record, purpose: Purpose) -> str | None:
    """Why a Record teaches nothing in this release. Raises LicenceError where its licence stops it."""
    if record.status is not Status.ACTIVE:
        return f"record: {record.status.value}"
    if not allowed(record.licence, purpose):
        return f"record: licence not for {purpose} use"
    if len(record.text) < MIN_RECORD_CHARS and record.facts == type(record.facts)(kind=record.facts.kind):
        return "record: too short"
    return None


def of_example(example: Example, profile: Profile, count: TokenCount = estimate) -> str | None:
    """Why an Example isn't fit for training under this profile."""
    answer = example.messages[-1]
    if answer.role != "assistant" or not answer.content.strip():
        return "example: no trainable token"
    if len(answer.content) < MIN_ANSWER_CHARS[example.task]:
        return "example: answer too short"
    tokens = TEMPLATE_TOKENS + sum(count(message.content) for message in example.messages)
    if tokens > MAX_TOKENS[profile]:
        return f"example: too long for {profile}"
    # JSON answers hold many short tokens; their own limit is checked where a tokenizer is at hand.
    if (
        example.task is Task.TRIAGE
        and count is not estimate
        and count(answer.content) > MAX_COMPLETION_TOKENS[profile]
    ):
        return f"example: answer too long for {profile}"
    return None


class Drop(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was left out. `n` counts those that never became rows of their own."""

    reason: str
    source: str
    task: str = ""
    id: str = ""
    n: int = 1
    #: The row because of which this one went: an Example's id, or `suite/row`.
    against: str = ""


def drop_of(example: Example, reason: str, against: str = "") -> Drop:
    return Drop(reason=reason, source=example.source, task=example.task.value, id=example.id, against=against)


def whole_pairs(examples: list[Example]) -> tuple[list[Example], list[Drop]]:
    """Without the half of a contrastive pair whose other half was left out: alone it unbalances."""
    halves: dict[str, int] = {}
    for example in examples:
        if example.pair_id:
            halves[example.pair_id] = halves.get(example.pair_id, 0) + 1
    kept = [example for example in examples if not example.pair_id or halves[example.pair_id] == 2]
    lost = [example for example in examples if example.pair_id and halves[example.pair_id] != 2]
    return kept, [drop_of(example, "example: its pair was left out") for example in lost]
