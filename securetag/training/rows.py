"""Release rows → token ids with labels on the completion alone. Pure but for the tokenizer.

Control tokens of the tokenizer in a message's text are escaped: only the template's own are tokens.

A row is never cut: one whose completion would be truncated trains on nothing, or on half an answer,
so it is left out and counted.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import msgspec

from securetag.errors import ReleaseError, TriageError
from securetag.records import Decision, Example, Label, Message, Task
from securetag.scrubbing import escape_tokens, list_control_tokens
from securetag.training.recipe import Recipe
from securetag.triage import MAX_COMPLETION_TOKENS, read_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: Label of a token that carries no loss (torch's `ignore_index`).
IGNORED = -100


class Row(msgspec.Struct, frozen=True):
    """One sequence: token ids and, of the same length, labels (IGNORED over the prompt)."""

    input_ids: list[int]
    labels: list[int]
    task: Task
    #: Index of the token that tells a triage answer's verdict: the first in which the same answer with
    #: another verdict differs.
    verdict_index: int | None = None
    #: Both members of a contrastive pair have the same.
    pair: str | None = None
    #: Of a triage row with a verdict.
    label: Label | None = None

    @property
    def completion_tokens(self) -> int:
        return sum(label != IGNORED for label in self.labels)


def read(path: Path) -> list[Example]:
    """Return the examples of one JSONL file. Raises ReleaseError."""
    try:
        with path.open("rb") as lines:
            return [msgspec.json.decode(line, type=Example) for line in lines]
    except (OSError, msgspec.DecodeError) as error:
        raise ReleaseError(f"{path} can't be read as training rows: {error}") from error


def select(examples: Iterable[Example], recipe: Recipe) -> list[Example]:
    """Return the rows that the recipe trains on: its tasks in its shares, at most `max_rows`.

    The order is a hash of seed and pair (or id): the same rows for the same recipe, both members of a
    contrastive pair next to each other, and a larger `max_rows` keeps what a smaller one chose.
    """
    ordered = sorted(
        examples, key=lambda example: (_draw(recipe.seed, example.pair_id or example.id), example.id)
    )
    if not recipe.tasks:
        return ordered[: recipe.max_rows]
    total = recipe.max_rows or len(ordered)
    quota = {task: round(total * share) for task, share in recipe.tasks.items()}
    chosen: list[Example] = []
    for example in ordered:
        if quota.get(example.task, 0) > 0:
            quota[example.task] -= 1
            chosen.append(example)
    return chosen


def encode(
    examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase, recipe: Recipe
) -> tuple[list[Row], Counter[str]]:
    """Encode examples as rows; count those that were left out, by reason."""
    rows: list[Row] = []
    dropped: Counter[str] = Counter()
    for example in examples:
        result = _encode(example, tokenizer, recipe)
        if isinstance(result, Row):
            rows.append(result)
        else:
            dropped[result] += 1
    return rows, dropped


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Return the tokens of a prompt up to where the answer begins, as a row of it trains."""
    return _tokens(tokenizer, messages, add_generation_prompt=True)


def bucket_by_length(rows: Sequence[Row], at_once: int, seed: int, length: Callable[[Row], int]) -> list[Row]:
    """Order rows so that each `at_once` of them are of similar `length` and hold whole pairs.

    Which come first is a matter of `seed`. Where pairs and single rows don't come out even, the last
    rows are a mixture.
    """
    groups: dict[object, list[Row]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(row.pair or number, []).append(row)
    whole: list[list[Row]] = []
    left: list[Row] = []
    for size in sorted({len(group) for group in groups.values()}):
        fit = sorted((g for g in groups.values() if len(g) == size), key=lambda g: max(map(length, g)))
        count = max(1, at_once // size)
        for at in range(0, len(fit), count):
            chunk = [row for group in fit[at : at + count] for row in group]
            if len(chunk) == count * size:
                whole.append(chunk)
            else:
                left += chunk
    Random(seed).shuffle(whole)
    return [row for chunk in whole for row in chunk] + left


def group_by_task(rows: Iterable[Row]) -> dict[Task, list[Row]]:
    """Return the rows of each task, in their order; the task with most rows first."""
    groups: dict[Task, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.task, []).append(row)
    return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))


def compute_task_share(rows: Sequence[Row], batch: int, first: int, last: int) -> dict[Task, float]:
    """Return the share of each task in the tokens that steps `first` to `last` train on, largest first.

    Steps count from 1, and every epoch reads `rows` in its order, `batch` rows a step. A task whose
    answers are long and hard lifts the loss of a step that holds them: with these shares a log can tell
    that from a run that diverges.
    """
    an_epoch = math.ceil(len(rows) / batch)
    tokens: Counter[Task] = Counter()
    for step in range(first, last + 1):
        at = (step - 1) % an_epoch * batch
        for row in rows[at : at + batch]:
            tokens[row.task] += row.completion_tokens
    return {task: count / tokens.total() for task, count in tokens.most_common()}


def _encode(example: Example, tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> Row | str:
    """Return the row of one example, or the reason why it can't train."""
    *prompt, last = example.messages
    if last.role != "assistant" or not last.content:
        return "no_completion"
    max_completion = recipe.max_tokens
    if example.task is Task.TRIAGE:
        try:
            if read_prompt(prompt, example.prompt_version, example.lang).profile != recipe.profile:
                return "other_profile"
        except TriageError:
            return "other_prompt_version"
        max_completion = MAX_COMPLETION_TOKENS[recipe.profile]
    prompt_ids = encode_prompt(tokenizer, prompt)
    whole = _tokens(tokenizer, example.messages, add_generation_prompt=False)
    if whole[: len(prompt_ids)] != prompt_ids:
        return "template_rewrites_prompt"
    # What the template writes after the end-of-turn token is the next turn's business.
    end = max((i for i, token in enumerate(whole) if token == tokenizer.eos_token_id), default=len(whole) - 1)
    whole = whole[: end + 1]
    if len(whole) > recipe.max_tokens:
        return "too_long"
    if len(whole) - len(prompt_ids) > max_completion:
        return "completion_too_long"
    if len(whole) <= len(prompt_ids):
        return "no_completion"
    return Row(
        input_ids=whole,
        labels=[IGNORED] * len(prompt_ids) + whole[len(prompt_ids) :],
        task=example.task,
        verdict_index=_find_verdict_token(example, whole, tokenizer),
        pair=example.pair_id,
        label=example.label if example.task is Task.TRIAGE else None,
    )


def _find_verdict_token(
    example: Example, ids: Sequence[int], tokenizer: PreTrainedTokenizerBase
) -> int | None:
    *prompt, last = example.messages
    written = f'"verdict":"{example.label}"'
    if example.task is not Task.TRIAGE or last.content.count(written) != 1:
        return None
    other = next(decision for decision in Decision if decision != example.label)
    changed = Message(last.role, last.content.replace(written, f'"verdict":"{other}"'))
    pairs = zip(ids, _tokens(tokenizer, [*prompt, changed], add_generation_prompt=False), strict=False)
    return next((place for place, (first, second) in enumerate(pairs) if first != second), None)


def _tokens(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, add_generation_prompt: bool
) -> list[int]:
    tokens = list_control_tokens(tokenizer.added_tokens_decoder.values())
    escaped = [Message(message.role, escape_tokens(message.content, tokens)) for message in messages]
    text = tokenizer.apply_chat_template(
        msgspec.to_builtins(escaped), tokenize=False, add_generation_prompt=add_generation_prompt
    )
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _draw(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()
