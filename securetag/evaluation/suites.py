"""Ask a predictor about every example and keep one row of what it said.

A predictor may fail in any way: each failure is a row with its reason, and the run goes on. Which
model answers, and over which wire, is not known here.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import msgspec

from securetag import triage
from securetag.calibration import Calibration, count_to_verdict, judge, read_margin, read_word
from securetag.errors import InputError, TriageError
from securetag.records import Decision, Example, Label, Task

_Item = tuple[Example, triage.Prompt]

#: (scored, of all) → None; called from the thread that called `run`.
Progress = Callable[[int, int], None]

#: Suite of the rows that carry no axis (harvested ones).
NO_AXIS = "other"
#: Axes whose rows are like the trained ones.
TRAINED_AXES = ("in_distribution", NO_AXIS)
#: Characters of a free answer that a row keeps, so that a person can see what the model wrote.
KEPT_CHARS = 300
#: Characters of an answer under the schema that a row keeps: more than MAX_ANSWER_TOKENS can be.
KEPT_ANSWER_CHARS = 4_000
#: Examples in a row without any answer after which the predictor is taken for dead: at 60 s a call,
#: asking a hung runtime about 1,000 examples over two slots would take eight hours.
GIVE_UP_AFTER = 8


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One scored example."""

    id: str
    #: `Example.axis`, or `other`.
    axis: str
    #: `Example.group`: rows of one group aren't independent of one another.
    group: str
    label: Label
    lang: str
    prompt_version: str
    #: The verdict that counts: as `apply_to_rows` left it, before that the model's own word, under the schema
    #: where that was asked.
    decision: Decision
    #: Could the verdict that counts be read: did its answer parse, or had its token a score?
    valid: bool
    #: Did the whole answer under the schema parse? None where the verdict alone was asked for.
    served_valid: bool | None = None
    #: How well the evidence that it names agrees with the known source, guard and sink (`overlap_evidence`);
    #: None where the whole answer wasn't asked for, or these aren't known.
    evidence_overlap: float | None = None
    #: The whole answer under the schema; empty where it wasn't asked for.
    served_text: str = ""
    #: Its score and its decision, where the verdict was asked for alone as well.
    served_margin: float | None = None
    served_decision: Decision | None = None
    #: The same two of the free completion; None where none was asked for.
    free_decision: Decision | None = None
    free_valid: bool | None = None
    #: Why an answer is invalid, or what the predictor raised.
    reason: str = ""
    free_reason: str = ""
    #: The beginning of the free completion.
    free_text: str = ""
    #: False where a call raised: the model wasn't heard, which says nothing of its skill.
    answered: bool = True
    #: False where the model wasn't asked, since nothing that it says would dismiss the row (`add_unasked`).
    is_asked: bool = True
    #: Wall milliseconds of the calls of this row, as the caller saw them.
    latency_ms: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model_id: str = ""
    alias: str = ""
    #: log P(false_positive) − log P(true_positive) of the answer that counts; None without log-probabilities.
    margin: float | None = None
    #: By the calibration that was applied, else the logistic function of the score.
    p_false_positive: float | None = None
    #: The same of `served_margin`.
    served_p_false_positive: float | None = None


class SuiteResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one model said of a set of examples, in their order."""

    rows: list[Row]
    #: Examples that were no labeled triage rows and so weren't asked about.
    skipped: int = 0

    @property
    def model_id(self) -> str:
        """Of the first row that names one; empty where no call was answered."""
        return next((row.model_id for row in self.rows if row.model_id), "")

    @property
    def alias(self) -> str:
        return next((row.alias for row in self.rows if row.alias), "")

    @property
    def unanswered(self) -> int:
        return sum(not row.answered for row in self.rows)

    def write(self, path: Path) -> Path:
        """Write one JSON line a row."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in self.rows))
        return path

    @classmethod
    def read(cls, path: Path) -> SuiteResult:
        """Read the rows that `write` wrote; `skipped` isn't kept. Raises InputError."""
        decoder = msgspec.json.Decoder(Row)
        rows: list[Row] = []
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                rows.append(decoder.decode(line))
            except msgspec.DecodeError as error:
                raise InputError(
                    f"{path.name}, line {number}: {error}", hint="Run the evaluation again."
                ) from error
        return cls(rows=rows)


class ModelAnswer(msgspec.Struct, frozen=True):
    """One call of the predictor and what came of it."""

    decision: Decision
    valid: bool
    answered: bool
    reason: str
    completion: triage.Completion
    #: Was it read up to its verdict alone, so that nothing is known of the rest?
    is_cut: bool = False


def select_scorable(example: Example) -> bool:
    """Return whether an example is a labeled triage row; other tasks have no verdict to score."""
    return example.task is Task.TRIAGE and example.label is not None


def sample_rows(
    examples: Iterable[Example], per_axis: int, *, trained: int | None = None, seed: int = 0
) -> list[Example]:
    """Choose at most `per_axis` scorable examples of each axis, half of each label where possible.

    `trained` is another number for the axes whose rows are like the trained ones.

    Chosen by a hash of seed, group and id, so the choice doesn't depend on the order of the input
    and both halves of a contrastive pair tend to be chosen together.
    """

    def rank(example: Example) -> str:
        group = hashlib.sha256(f"{seed}:{example.group}".encode()).hexdigest()
        return group + hashlib.sha256(f"{seed}:{example.id}".encode()).hexdigest()

    axes: dict[str, dict[str, list[Example]]] = {}
    for example in sorted(filter(select_scorable, examples), key=rank):
        labels = axes.setdefault(example.axis or NO_AXIS, {})
        labels.setdefault(example.label or "", []).append(example)
    chosen: list[Example] = []
    for axis in sorted(axes):
        queues = [axes[axis][label] for label in sorted(axes[axis])]
        most = trained if trained is not None and axis in TRAINED_AXES else per_axis
        half = most // len(queues)
        took = [queue[:half] for queue in queues]
        spare = [example for queue in queues for example in queue[half:]]
        missing = most - sum(len(part) for part in took)
        chosen += [example for part in took for example in part] + spare[:missing]
    return sorted(chosen, key=lambda example: example.id)


def run_suite(
    predictor: triage.Predictor,
    examples: Sequence[Example],
    *,
    free: bool = True,
    constrained: bool = True,
    workers: int = 2,
    progress: Progress | None = None,
) -> SuiteResult:
    """Ask `predictor` about each labeled triage example: without a schema, with it, or both.

    `workers` calls run at once (one llama.cpp slot each). Nothing that the predictor raises ends
    the run: such a row is invalid, `needs_review` and not `answered`. A few unanswered ones are asked
    once more at the end; after `GIVE_UP_AFTER` in a row the rest are recorded without being asked.

    Raises InputError when neither kind of completion is asked for, or when an example's prompt
    wasn't rendered by this version of `triage` (scores of another prompt would mislead).
    """
    if not (free or constrained):
        raise InputError("an evaluation needs free completions, constrained ones, or both")

    def score(ask: triage.Predictor, item: _Item) -> Row:
        return _score(ask, item[0], item[1], free, constrained)

    return _run(predictor, examples, score, max(1, workers), progress)


def score_verdicts(
    predictor: triage.Predictor, examples: Sequence[Example], *, progress: Progress | None = None
) -> SuiteResult:
    """Ask `predictor` for the verdict of each labeled triage example, by the question that a worker asks.

    Where answers begin with the verdict, the first is read whole, and tells after how many tokens the others
    may be cut off: what a model writes before that is the same. An answer without a score by then is read
    whole too. Members of a pair are asked about one after another, so that a server reads once what they
    share. Failures as for `run_suite`.
    """
    ordered = sorted(examples, key=lambda example: (example.pair_id or example.id, example.id))
    limits: dict[triage.Profile, int] = {}

    def score(ask: triage.Predictor, item: _Item) -> Row:
        return _score_verdict(ask, item, limits)

    result = _run(predictor, ordered, score, 1, progress)
    rows = {row.id: row for row in result.rows}
    return SuiteResult(rows=[rows[e.id] for e in examples if e.id in rows], skipped=result.skipped)


def merge_answers(verdicts: SuiteResult, answers: SuiteResult) -> SuiteResult:
    """Add what `run_suite` made of some of the same examples to the rows of `score_verdicts`."""
    whole = {row.id: row for row in answers.rows}
    rows = [_merge(row, whole[row.id]) if row.id in whole else row for row in verdicts.rows]
    return SuiteResult(rows=rows, skipped=verdicts.skipped)


def _merge(verdict: Row, answer: Row) -> Row:
    return msgspec.structs.replace(
        verdict,
        served_valid=answer.served_valid,
        evidence_overlap=answer.evidence_overlap,
        served_text=answer.served_text,
        served_margin=answer.margin,
        served_decision=answer.decision,
        free_decision=answer.free_decision,
        free_valid=answer.free_valid,
        free_reason=answer.free_reason,
        free_text=answer.free_text,
        reason=verdict.reason or answer.reason,
        answered=verdict.answered and answer.answered,
    )


def apply_to_rows(result: SuiteResult, calibration: Calibration | None) -> SuiteResult:
    """Return the rows with the decisions that a worker would store: see `securetag.calibration.judge`."""
    rows = []
    for row in result.rows:
        judged = judge(row.decision, row.margin, calibration, row.prompt_version)
        served, served_p = row.served_decision, None
        if served is not None and row.served_margin is not None:
            again = judge(served, row.served_margin, calibration, row.prompt_version)
            served, served_p = again.decision, again.p_false_positive
        rows.append(
            msgspec.structs.replace(
                row,
                decision=judged.decision if row.valid else Decision.NEEDS_REVIEW,
                p_false_positive=judged.p_false_positive,
                reason=row.reason or judged.reason,
                served_decision=served,
                served_p_false_positive=served_p,
            )
        )
    return SuiteResult(rows=rows, skipped=result.skipped)


def add_unasked(result: SuiteResult, examples: Sequence[Example]) -> SuiteResult:
    """Return rows of all `examples`, with what counts of those that a model without calibration wasn't asked.

    It dismisses nothing, whatever it says. What depends on its word is measured on the rows that it
    was asked about.
    """
    asked_rows = {row.id: row for row in result.rows}
    rows = []
    for example in filter(select_scorable, examples):
        assert example.label is not None  # select_scorable saw to it
        unasked = Row(
            id=example.id,
            axis=example.axis or NO_AXIS,
            group=example.group,
            label=example.label,
            lang=_prompt(example).lang,
            prompt_version=example.prompt_version or "",
            decision=Decision.NEEDS_REVIEW,
            valid=True,
            is_asked=False,
            model_id=result.model_id,
            alias=result.alias,
        )
        rows.append(asked_rows.get(example.id, unasked))
    return SuiteResult(rows=rows, skipped=result.skipped)


def _run(
    predictor: triage.Predictor,
    examples: Sequence[Example],
    score: Callable[[triage.Predictor, _Item], Row],
    workers: int,
    progress: Progress | None,
) -> SuiteResult:
    prepared = [(example, _prompt(example)) for example in examples if select_scorable(example)]
    rows = _round(predictor, prepared, score, workers, progress)
    unheard = [index for index, row in enumerate(rows) if not row.answered]
    if 0 < len(unheard) < GIVE_UP_AFTER:
        # One at a time: what timed out beside other calls may be answered alone.
        again = _round(predictor, [prepared[index] for index in unheard], score, 1, None)
        for index, row in zip(unheard, again, strict=True):
            rows[index] = row
    return SuiteResult(rows=rows, skipped=len(examples) - len(prepared))


def _round(
    predictor: triage.Predictor,
    items: Sequence[_Item],
    score: Callable[[triage.Predictor, _Item], Row],
    workers: int,
    progress: Progress | None,
) -> list[Row]:
    """Score every item, in order, `workers` at once; see `run` for when it gives up."""
    rows: dict[int, Row] = {}
    silent = 0
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="evaluate") as pool:
        waiting: dict[Future[Row], int] = {}
        pending = iter(enumerate(items))
        try:
            for done in range(1, len(items) + 1):
                for index, item in itertools.islice(pending, workers - len(waiting)):
                    ask = predictor if silent < GIVE_UP_AFTER else _given_up
                    waiting[pool.submit(score, ask, item)] = index
                finished = next(iter(wait(waiting, return_when=FIRST_COMPLETED).done))
                row = rows[waiting.pop(finished)] = finished.result()
                silent = 0 if row.answered else silent + 1
                if progress is not None:
                    progress(done, len(items))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [rows[index] for index in range(len(items))]


def _prompt(example: Example) -> triage.Prompt:
    try:
        return triage.read_prompt(example.messages, example.prompt_version, example.lang)
    except TriageError as error:
        raise InputError(
            f"example {example.id[:12]}: {error}", hint="Build the release again with this version."
        ) from error


def _given_up(*_: object) -> triage.Completion:
    raise TriageError(f"not asked: the model gave no answer {GIVE_UP_AFTER} times in a row")


def _score(
    predictor: triage.Predictor, example: Example, prompt: triage.Prompt, free: bool, constrained: bool
) -> Row:
    start = time.perf_counter()
    unbound = _ask(predictor, prompt, constrained=False) if free else None
    bound = None
    if constrained:
        is_answering = unbound is None or unbound.answered
        # A model that has just not answered isn't asked again: the row is unheard either way.
        bound = _ask(predictor, prompt, constrained=True) if is_answering else unbound
    return _make_row(example, prompt, unbound, bound, start)


def _score_verdict(predictor: triage.Predictor, item: _Item, limits: dict[triage.Profile, int]) -> Row:
    """Score one verdict; `limits` as for `ask_for_verdict`."""
    example, prompt = item
    start = time.perf_counter()
    answer = ask_for_verdict(predictor, prompt, limits)
    row = _make_row(example, prompt, None, answer, start)
    if not answer.is_cut:
        return row
    return msgspec.structs.replace(row, served_valid=None, evidence_overlap=None, served_text="")


def ask_for_verdict(
    predictor: triage.Predictor, prompt: triage.Prompt, limits: dict[triage.Profile, int]
) -> ModelAnswer:
    """Ask for an answer under the schema, cut off after its verdict where it begins with that.

    `limits` holds the tokens after which the score of a profile's answers is known: the first answer is read
    whole and sets it. An answer without a score by then is read whole too. Whatever the predictor raises is
    in the result.
    """
    limit = limits.get(prompt.profile)
    answer = _ask(predictor, prompt, constrained=True, limit=limit)
    word, margin = read_word(answer.completion.text), read_margin(answer.completion)
    if limit is not None and (word is None or margin is None):
        answer = _ask(predictor, prompt, constrained=True)
        word, margin = read_word(answer.completion.text), read_margin(answer.completion)
    if word is None or margin is None or prompt.profile not in triage.VERDICT_FIRST:
        return answer
    if (count := count_to_verdict(answer.completion)) is not None:
        limits.setdefault(prompt.profile, count)
    return msgspec.structs.replace(answer, decision=word, valid=True, reason="", is_cut=True)


def overlap_evidence(named: Sequence[tuple[int, int]], expected: Sequence[tuple[int, int]]) -> float:
    """Return the F1 of two lists of spans of lines, both ends inclusive.

    Its precision is the share of `named` that shares a line with `expected`, its recall the share of these
    that shares one with `named`.
    """

    def share(spans: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> float:
        met = [any(first <= end and start <= last for start, end in others) for first, last in spans]
        return sum(met) / len(met) if met else 0.0

    precision, recall = share(named, expected), share(expected, named)
    return 2 * precision * recall / (precision + recall) if precision else 0.0


def _overlap(example: Example, prompt: triage.Prompt, answer: ModelAnswer) -> float:
    """Return what the evidence of a whole answer is worth; 0 where it doesn't parse."""
    try:
        named = triage.parse(answer.completion.text, prompt).evidence
    except TriageError:
        return 0.0
    # A compact answer names the first line of a span.
    return overlap_evidence(named, [(span.first, span.last) for span in example.evidence])


def _make_row(
    example: Example,
    prompt: triage.Prompt,
    unbound: ModelAnswer | None,
    bound: ModelAnswer | None,
    start: float,
) -> Row:
    counts = bound or unbound
    # The callers saw to both.
    assert counts is not None
    assert example.label is not None
    calls = [call for call in (unbound, bound) if call is not None]
    return Row(
        id=example.id,
        axis=example.axis or NO_AXIS,
        group=example.group,
        label=example.label,
        lang=prompt.lang,
        prompt_version=prompt.version,
        decision=counts.decision,
        valid=counts.valid,
        served_valid=bound.valid if bound else None,
        evidence_overlap=_overlap(example, prompt, bound) if bound and example.evidence else None,
        served_text=bound.completion.text[:KEPT_ANSWER_CHARS] if bound else "",
        reason=counts.reason,
        free_decision=unbound.decision if unbound else None,
        free_valid=unbound.valid if unbound else None,
        free_reason=unbound.reason if unbound else "",
        free_text=unbound.completion.text[:KEPT_CHARS] if unbound else "",
        answered=all(call.answered for call in calls),
        latency_ms=round((time.perf_counter() - start) * 1000),
        prompt_tokens=sum(call.completion.prompt_tokens for call in calls),
        completion_tokens=sum(call.completion.completion_tokens for call in calls),
        model_id=counts.completion.model_id,
        alias=counts.completion.alias,
        margin=read_margin(counts.completion),
    )


def _ask(
    predictor: triage.Predictor, prompt: triage.Prompt, *, constrained: bool, limit: int | None = None
) -> ModelAnswer:
    schema = triage.schema(prompt) if constrained else None
    tokens = triage.MAX_ANSWER_TOKENS[prompt.profile] if limit is None else limit
    completion, answered = triage.Completion(text=""), False
    try:
        completion, answered = predictor(prompt.messages, schema, tokens), True
        answer = triage.parse(completion.text, prompt)
    except Exception as error:  # Whatever a predictor raises is a row to count, with its reason.
        reason = str(error) if isinstance(error, TriageError) else f"{type(error).__name__}: {error}"
        return ModelAnswer(Decision.NEEDS_REVIEW, False, answered, reason[:KEPT_CHARS], completion)
    return ModelAnswer(answer.verdict, True, True, "", completion)
