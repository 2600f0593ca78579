"""Which Records and Examples fit a release."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from securetag.datasets.drops import Drop, DropReason, StepResult
from securetag.datasets.licences import Purpose, is_allowed
from securetag.records import Example, Record, Status, Task
from securetag.triage import MAX_COMPLETION_TOKENS, Profile

#: Prompt and completion tokens that a row may take, by profile.
MAX_TOKENS: dict[Profile, int] = {"compact": 512, "full": 4096}
#: Tokens that a chat template adds to a conversation (SmolLM2's and Llama 3.1's stay below).
TEMPLATE_TOKENS = 24
#: SmolLM2 reads at least 2.3 characters of code a token, 3.6 of prose; the estimate must not be too low.
CHARS_PER_TOKEN = 2.2
#: Characters of a Record's text; a shorter one says nothing.
MIN_RECORD_CHARS = 40
#: Characters of an answer. A key (`CWE-1`) answers a mapping; a question needs a sentence.
MIN_ANSWER_CHARS: dict[Task, int] = {Task.MAPPING: 3, Task.QA: 20, Task.TRIAGE: 8, Task.REMEDIATION: 8}

#: Text → number of tokens.
TokenCount = Callable[[str], int]


def estimate_tokens(text: str) -> int:
    """Return the tokens of a text, estimated from above for code and prose in Latin script."""
    return int(len(text) / CHARS_PER_TOKEN) + 1


def check_record(record: Record, purpose: Purpose) -> DropReason | None:
    """Return why a Record gives this release no rows, None where it may give some.

    Raises LicenceError where its license stops every release.
    """
    if record.status is not Status.ACTIVE:
        return DropReason.of_status(record.status)
    if not is_allowed(record.licence, purpose):
        return DropReason.RECORD_LICENCE
    if len(record.text) < MIN_RECORD_CHARS and record.facts == type(record.facts)(kind=record.facts.kind):
        return DropReason.RECORD_TOO_SHORT
    return None


def check_example(
    example: Example, profile: Profile, count: TokenCount = estimate_tokens
) -> DropReason | None:
    """Return why an Example can't be trained on under this profile, None where it can."""
    answer = example.messages[-1]
    if answer.role != "assistant" or not answer.content.strip():
        return DropReason.ROW_EMPTY
    if len(answer.content) < MIN_ANSWER_CHARS[example.task]:
        return DropReason.ROW_SHORT_ANSWER
    tokens = TEMPLATE_TOKENS + sum(count(message.content) for message in example.messages)
    if tokens > MAX_TOKENS[profile]:
        return DropReason.ROW_TOO_LONG
    # JSON answers hold many short tokens; their own limit is checked where a tokenizer is at hand.
    if (
        example.task is Task.TRIAGE
        and count is not estimate_tokens
        and count(answer.content) > MAX_COMPLETION_TOKENS[profile]
    ):
        return DropReason.ROW_LONG_ANSWER
    return None


def filter_examples(rows: Sequence[Example], *, profile: Profile, purpose: Purpose) -> StepResult:
    """Drop the rows that can't be trained on, and those whose license doesn't allow `purpose`.

    Raises LicenceError where a row's license stops every release.
    """
    kept: list[Example] = []
    drops: list[Drop] = []
    for row in rows:
        reason = check_example(row, profile)
        if reason is None and not is_allowed(row.licence, purpose):
            reason = DropReason.ROW_LICENCE
        if reason is None:
            kept.append(row)
        else:
            drops.append(Drop.of(row, reason))
    return StepResult(kept, drops)


def drop_unpaired(rows: Sequence[Example]) -> StepResult:
    """Drop the rows of a contrastive pair whose other half is gone: alone it unbalances the labels."""
    halves = Counter(row.pair_id for row in rows if row.pair_id)
    unpaired = [row for row in rows if row.pair_id and halves[row.pair_id] != 2]
    kept = [row for row in rows if not row.pair_id or halves[row.pair_id] == 2]
    return StepResult(kept, [Drop.of(row, DropReason.ROW_UNPAIRED) for row in unpaired])
