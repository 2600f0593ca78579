from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from constructed_models import score_correctly, scored_predictor

from securetag.calibration import Bound, Calibration
from securetag.errors import InputError, ModelUnavailableError
from securetag.evaluation import suites
from securetag.evaluation.metrics import measure
from securetag.records import Decision, EvidenceSpan, Example, JsonObject, Message, Origin, Task, content_id
from securetag.triage import Completion, Predictor


def test_perfect_predictor_is_valid_and_right_in_input_order(
    examples: list[Example], perfect: Predictor
) -> None:
    seen: list[tuple[int, int]] = []
    result = suites.run_suite(perfect, examples, workers=4, progress=lambda *state: seen.append(state))

    assert [row.id for row in result.rows] == [example.id for example in examples]
    assert all(row.valid and row.free_valid and row.answered for row in result.rows)
    assert all(row.decision == row.label == row.free_decision for row in result.rows)
    assert result.model_id == "perfect"
    assert result.unanswered == 0
    assert seen == [(n, 120) for n in range(1, 121)]
    assert result.rows[0].completion_tokens == 36


def test_schema_is_given_for_the_constrained_completion_alone(
    examples: list[Example], perfect: Predictor
) -> None:
    asked: list[tuple[bool, int]] = []

    def spy(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        asked.append((schema is not None, limit))
        assert [message.role for message in messages] == ["system", "user"]
        if schema is not None:
            assert schema["properties"]["evidence"]["items"]["maximum"] == 3
        return perfect(messages, schema, limit)

    suites.run_suite(spy, examples[:1], workers=1)
    assert asked == [(False, 48), (True, 48)]
    asked.clear()
    free = suites.run_suite(spy, examples[:1], constrained=False)
    assert asked == [(False, 48)]
    assert free.rows[0].decision == free.rows[0].free_decision
    asked.clear()
    bound = suites.run_suite(spy, examples[:1], free=False)
    assert asked == [(True, 48)]
    assert bound.rows[0].free_valid is None
    with pytest.raises(InputError, match="needs free completions"):
        suites.run_suite(spy, examples[:1], free=False, constrained=False)


def test_broken_predictor_never_aborts_and_is_soon_left_alone(
    examples: list[Example], broken: Predictor
) -> None:
    calls = 0

    def counted(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        nonlocal calls
        calls += 1
        return broken(messages, schema, limit)

    result = suites.run_suite(counted, examples, workers=1)

    assert len(result.rows) == result.unanswered == 120
    assert {row.decision for row in result.rows} == {Decision.NEEDS_REVIEW}
    assert not any(row.valid or row.free_valid for row in result.rows)
    assert result.rows[0].reason == "RuntimeError: the slot crashed"
    assert "not asked" in result.rows[-1].reason
    assert calls == suites.GIVE_UP_AFTER


def test_a_model_that_comes_back_is_asked_again(examples: list[Example], perfect: Predictor) -> None:
    lock, calls = threading.Lock(), 0

    def shaky(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        nonlocal calls
        with lock:
            calls += 1
            away = calls <= 5
        if away:
            raise ModelUnavailableError("the runtime restarts")
        return perfect(messages, schema, limit)

    result = suites.run_suite(shaky, examples, workers=1)
    assert result.unanswered == 0
    assert all(row.valid for row in result.rows)
    assert [row.id for row in result.rows] == [example.id for example in examples]
    assert calls == 5 + 2 * 120


def test_what_stays_silent_is_asked_once_more_and_no_oftener(
    examples: list[Example], perfect: Predictor
) -> None:
    silent, calls = examples[3].messages[1].content, 0

    def partly(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        nonlocal calls
        if messages[1].content == silent:
            calls += 1
            raise ModelUnavailableError("no answer within 30 s")
        return perfect(messages, schema, limit)

    result = suites.run_suite(partly, examples[:10])
    assert (result.unanswered, calls) == (1, 2)
    assert not result.rows[3].answered


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        '{"evidence":[3],"verdict":"maybe"}',
        '{"evidence":[4],"verdict":"true_positive"}',
        '{"evidence":[0],"verdict":"true_positive"}',
        '{"verdict":"true_positive"}',
        '{"evidence":[3],"verdict":"true_positive","x":1}',
        '{"evidence":[3],"verdict":"true_pos',
        "[" * 5_000,
    ],
    ids=[
        "empty",
        "null",
        "a list",
        "an open object",
        "unknown verdict",
        "line beyond the snippet",
        "line 0",
        "no evidence",
        "a further key",
        "cut off",
        "deeply nested",
    ],
)
def test_nonsense_is_invalid_needs_review_but_answered(examples: list[Example], text: str) -> None:
    result = suites.run_suite(lambda *_: Completion(text=text), examples[:2])
    for row in result.rows:
        assert not row.valid
        assert row.decision is Decision.NEEDS_REVIEW
        assert row.answered
        assert row.reason


def test_rows_survive_jsonl(examples: list[Example], noisy: Predictor, tmp_path: Path) -> None:
    result = suites.run_suite(noisy, examples)
    path = result.write(tmp_path / "deep" / "rows.jsonl")
    assert len(path.read_bytes().splitlines()) == 120
    assert suites.SuiteResult.read(path).rows == result.rows
    path.write_bytes(path.read_bytes() + b'{"id": 1}\n')
    with pytest.raises(InputError, match="line 121"):
        suites.SuiteResult.read(path)


def _other_task() -> Example:
    return Example.of(
        task=Task.QA,
        messages=[Message("user", "What is CWE-89?"), Message("assistant", "…")],
        lang="en",
        licence="CC0-1.0",
        group="g",
        origin="template",
        origins=[Origin(record_id="0")],
        source="s",
    )


def test_other_tasks_are_skipped_and_counted(examples: list[Example], perfect: Predictor) -> None:
    result = suites.run_suite(perfect, [*examples[:3], _other_task()])
    assert (len(result.rows), result.skipped) == (3, 1)


def test_a_prompt_of_another_version_is_refused(examples: list[Example], perfect: Predictor) -> None:
    fields = {name: getattr(examples[0], name) for name in Example.__struct_fields__}
    old = Example(**{**fields, "prompt_version": "compact-1"})
    with pytest.raises(InputError, match="no triage prompt of this version"):
        suites.run_suite(perfect, [old])


def test_interrupt_stops_the_run(examples: list[Example], perfect: Predictor) -> None:
    calls: list[int] = []

    def spy(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        calls.append(1)
        return perfect(messages, schema, limit)

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        suites.run_suite(spy, examples, workers=2, progress=stop)
    assert len(calls) < 20


def test_sample_is_balanced_seeded_and_order_free(examples: list[Example]) -> None:
    chosen = suites.sample_rows([*examples, _other_task()], 10, seed=1)
    assert chosen == suites.sample_rows(examples[::-1], 10, seed=1)
    assert chosen != suites.sample_rows(examples, 10, seed=2)
    assert len(chosen) == 40
    for axis in {example.axis for example in examples}:
        labels = [example.label for example in chosen if example.axis == axis]
        assert sorted(labels) == ["false_positive"] * 5 + ["true_positive"] * 5
    assert len(suites.sample_rows(examples, 1_000)) == 120


def test_sample_fills_up_where_one_label_is_scarce(examples: list[Example]) -> None:
    scarce = [example for example in examples if example.label == "true_positive"][:12]
    scarce += [example for example in examples if example.label == "false_positive"][:1]
    scarce = [
        Example(**{**{n: getattr(e, n) for n in Example.__struct_fields__}, "axis": None}) for e in scarce
    ]
    chosen = suites.sample_rows(scarce, 10)
    assert len(chosen) == 10
    assert sum(example.label == "false_positive" for example in chosen) == 1


def test_the_prompt_is_the_contracts_own(examples: list[Example]) -> None:
    """Evaluation must ask exactly what live triage asks."""
    asked: list[str] = []

    def spy(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        asked.append(content_id(messages))
        return Completion(text="")

    suites.run_suite(spy, examples[:1], free=False)
    assert asked == [content_id(examples[0].messages[:-1])]


def test_a_verdict_is_asked_for_as_the_whole_answer_is_and_cut_off_after_it(examples: list[Example]) -> None:
    limits: list[int] = []
    asked: set[tuple[str, bool]] = set()
    model = scored_predictor(score_correctly, model_id="scored")

    def spy(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        limits.append(limit)
        asked.add((messages[-1].content, schema is not None))
        return model(messages, schema, limit)

    result = suites.score_verdicts(spy, examples)
    assert limits == [48] + [2] * 119
    verdicts_asked = asked.copy()
    whole = suites.run_suite(spy, examples, free=False)
    assert asked == verdicts_asked
    assert [row.margin for row in result.rows] == [row.margin for row in whole.rows]
    assert [row.id for row in result.rows] == [example.id for example in examples]
    assert all(row.decision == row.label and row.valid for row in result.rows)
    assert all((row.margin or 0) > 0 for row in result.rows if row.label == "false_positive")
    assert {row.served_valid for row in result.rows} == {None}


def test_an_answer_whose_verdict_comes_later_is_read_whole(examples: list[Example]) -> None:
    model = scored_predictor(score_correctly, model_id="scored")
    limits: list[int] = []

    def spell_late(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        limits.append(limit)
        if len(limits) != 5:
            return model(messages, schema, limit)
        return Completion(text='{"ver', logprobs=[('{"ver', 0.0)], top_logprobs=[[('{"ver', 0.0)]])

    rows = suites.score_verdicts(spell_late, examples).rows
    assert limits[4:7] == [2, 48, 2]
    assert all(row.margin is not None and row.valid for row in rows)


def test_pairs_are_asked_about_one_after_another(examples: list[Example]) -> None:
    paired = [
        msgspec.structs.replace(example, pair_id=f"pair {number % 60}")
        for number, example in enumerate(examples)
    ]
    model, prompts = scored_predictor(score_correctly, model_id="scored"), []

    def spy(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        prompts.append(messages[1].content)
        return model(messages, schema, limit)

    suites.score_verdicts(spy, paired)
    pair_of = {example.messages[1].content: example.pair_id for example in paired}
    order = [pair_of[prompt] for prompt in prompts]
    assert order[::2] == order[1::2]


def test_without_log_probabilities_the_whole_answer_is_asked_for(
    examples: list[Example], perfect: Predictor
) -> None:
    result = suites.score_verdicts(perfect, examples)
    assert all(row.decision == row.label and row.valid and row.served_valid for row in result.rows)
    assert {row.margin for row in result.rows} == {None}
    assert {row.decision for row in suites.apply_to_rows(result, None).rows} == {
        Decision.NEEDS_REVIEW,
        Decision.TRUE_POSITIVE,
    }


def test_whole_answers_are_added_to_the_verdicts_of_the_same_rows(examples: list[Example]) -> None:
    model = scored_predictor(score_correctly, model_id="scored", free=False)
    verdicts, answers = suites.score_verdicts(model, examples), suites.run_suite(model, examples[:10])
    merged = suites.merge_answers(verdicts, answers).rows
    assert [row.served_valid for row in merged] == [True] * 10 + [None] * 110
    assert [row.free_valid for row in merged] == [False] * 10 + [None] * 110
    assert [row.margin for row in merged] == [row.margin for row in verdicts.rows]
    assert all(row.served_decision == row.decision for row in merged[:10])


def test_rows_are_decided_as_a_worker_would(examples: list[Example]) -> None:
    model = scored_predictor(score_correctly, model_id="scored")
    verdicts = suites.score_verdicts(model, examples)
    calibration = Calibration(
        model_id="scored",
        prompt_version=verdicts.rows[0].prompt_version,
        method="temperature",
        bound=Bound(target=0.02, lost=0, of=149, upper=0.02, population="constructed rows"),
        rows=400,
        threshold=0.5,
    )
    decided = suites.apply_to_rows(verdicts, calibration).rows
    assert all(row.decision == row.label for row in decided)
    assert all(
        row.p_false_positive == calibration.compute_probability(row.margin)
        for row in decided
        if row.margin is not None
    )
    other_prompt = msgspec.structs.replace(calibration, prompt_version="another")
    for unusable in (None, other_prompt):
        rows = suites.apply_to_rows(verdicts, unusable).rows
        assert not any(row.decision is Decision.FALSE_POSITIVE for row in rows)
        assert all("calibrat" in row.reason for row in rows if row.label == "false_positive")


def test_rows_like_the_trained_ones_have_a_number_of_their_own(examples: list[Example]) -> None:
    chosen = suites.sample_rows(examples, 4, trained=20)
    assert Counter(example.axis for example in chosen) == {
        "in_distribution": 20,
        "unseen_framework": 4,
        "unseen_guard": 4,
        "unseen_sink": 4,
    }


@pytest.mark.parametrize(
    ("named", "known", "overlap"),
    [
        ([(1, 1), (3, 3)], [(1, 2), (3, 3)], 1.0),
        ([(1, 1)], [(1, 2), (3, 3)], 2 / 3),
        ([(1, 1), (5, 5)], [(1, 2), (3, 3)], 0.5),
        ([(5, 5)], [(1, 2)], 0.0),
        ([], [(1, 2)], 0.0),
    ],
    ids=["first lines of all", "one of two", "one right and one wrong", "none right", "nothing named"],
)
def test_overlap_of_evidence(
    named: list[tuple[int, int]], known: list[tuple[int, int]], overlap: float
) -> None:
    assert suites.overlap_evidence(named, known) == pytest.approx(overlap)


def test_evidence_is_compared_in_whole_answers_alone(examples: list[Example]) -> None:
    """The constructed model names line 3."""
    model = scored_predictor(score_correctly, model_id="learned")
    right, wrong = (
        msgspec.structs.replace(examples[number], evidence=[EvidenceSpan("sink", line, line)])
        for number, line in ((0, 3), (1, 1))
    )
    whole = suites.run_suite(model, [right, wrong, msgspec.structs.replace(examples[2], evidence=[])])
    assert [row.evidence_overlap for row in whole.rows] == [1.0, 0.0, None]
    verdicts = suites.score_verdicts(model, [right, wrong])
    assert [row.evidence_overlap for row in verdicts.rows] == [None, None]
    assert [row.evidence_overlap for row in suites.merge_answers(verdicts, whole).rows] == [1.0, 0.0]
    estimate = measure(whole.rows).estimates["evidence_right"]
    assert (estimate.value, estimate.n) == (0.5, 2)
