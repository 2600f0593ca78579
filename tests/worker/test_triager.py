"""Whatever the model does, every severe finding has a verdict, in bounded time."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import make_finding

from securetag.errors import ModelUnavailableError
from securetag.records import Decision, Finding, Gate, JsonObject, Message, RuleKind, RuleMatch, Severity
from securetag.serving.client import ModelInfo
from securetag.settings.sections import TriageSettings
from securetag.triage import MAX_ANSWER_TOKENS, Completion
from securetag.wire.queue import TriagedFinding
from securetag.worker.triager import BREAKER, Triager

NUMBERS = itertools.count()


class Scripted:
    """A model client that does what it is told, and takes the time that it is told on its own clock."""

    def __init__(
        self, answer: Callable[[], str] | str = '{"evidence":[1],"verdict":"true_positive"}'
    ) -> None:
        self.answer = answer
        self.now = 0.0
        self.takes = 0.0
        self.asked: list[JsonObject] = []
        self.resolve_error: Exception | None = None

    def resolve(self) -> ModelInfo:
        if self.resolve_error:
            raise self.resolve_error
        return ModelInfo("securetag-v1", "m" * 64)

    def chat(
        self,
        messages: Sequence[Message],
        *,
        schema: JsonObject | None,
        max_tokens: int,
        timeout_s: float,
        temperature: float = 0.0,
        seed: int = 0,
        logprobs: bool = False,
    ) -> Completion:
        self.asked.append(
            {
                "messages": [message.content for message in messages],
                "schema": schema,
                "max_tokens": max_tokens,
                "timeout_s": timeout_s,
            }
        )
        if self.takes > timeout_s:
            self.now += timeout_s
            raise ModelUnavailableError(f"no answer within {timeout_s:g} s")
        self.now += self.takes
        text = self.answer if isinstance(self.answer, str) else self.answer()
        return Completion(
            text=text,
            model_id="m" * 64,
            alias="securetag-v1",
            prompt_tokens=9,
            completion_tokens=3,
            logprobs=[(text, -0.1)] if logprobs else [],
            top_logprobs=[[]] if logprobs else [],
        )

    def close(self) -> None:
        pass

    def clock(self) -> float:
        return self.now


def finding(severity: Severity = "high") -> Finding:
    """Return a finding whose prompt is like no other one's."""
    code = f"def f(q):\n    os.system(q, {next(NUMBERS)})"
    return make_finding(
        severity=severity, cwe="CWE-78", snippet=code, snippet_line=10, start_line=11, end_line=11
    )


def match(kind: RuleKind) -> RuleMatch:
    return RuleMatch(tool="semgrep", rule_id=kind, cwe="CWE-78", kind=kind, start_line=11, end_line=11)


def triager(model: Scripted, **settings: Any) -> Triager:
    """Return one that asks about a finding after the other, unless the settings say more."""
    return Triager(model, TriageSettings(**{"concurrency": 1} | settings), clock=model.clock)


def test_severe_findings_get_the_models_verdict() -> None:
    model = Scripted()
    severities: list[Severity] = ["critical", "high", "medium", "low"]
    seen: list[tuple[int, int]] = []
    run = triager(model).run(
        [finding(severity) for severity in severities],
        budget_s=60,
        progress=lambda done, of: seen.append((done, of)),
    )
    assert [bool(verdict) for verdict in run.verdicts] == [True, True, False, False]
    first = run.verdicts[0]
    assert first is not None
    assert (first.decision, first.reason, first.evidence) == (Decision.TRUE_POSITIVE, "", [(10, 10)])
    assert (first.model_id, first.alias, first.prompt_version) == ("m" * 64, "securetag-v1", "compact-6")
    assert seen == [(0, 2), (1, 2)]
    assert (run.metrics.findings, run.metrics.answered, run.metrics.needs_review) == (2, 2, 0)
    assert (run.metrics.prompt_tokens, run.metrics.completion_tokens) == (18, 6)
    assert model.asked[0]["schema"]["additionalProperties"] is False
    assert model.asked[0]["max_tokens"] == MAX_ANSWER_TOKENS["compact"]
    assert json.loads(run.transcript[0])["decision"] == "true_positive"


def test_no_value_of_a_credential_is_sent_or_kept() -> None:
    model = Scripted()
    code = 'def f(q):\n    password = "hunter2hunter2"\n    os.system(q)'
    secret = make_finding(severity="high", snippet=code, snippet_line=10, start_line=12, end_line=12)
    run = triager(model).run([secret], budget_s=60)
    prompt = model.asked[0]["messages"][-1]
    assert '= "********"' in prompt
    assert "hunter2hunter2" not in prompt + "".join(run.transcript)


def test_a_shape_alone_needs_the_model_and_the_highest_rank_is_asked_about_first() -> None:
    model = Scripted()
    model.takes = 10.0
    kinds: list[RuleKind] = ["shape", "traced", "shape", "template"]
    findings = [
        msgspec.structs.replace(finding("medium"), rank=rank, matches=[match(kind)])
        for rank, kind in enumerate(kinds)
    ]
    run = triager(model).run(findings, budget_s=20)
    reasons = [verdict.reason if verdict else None for verdict in run.verdicts]
    assert reasons == ["the time for this scan's triage was used up", None, "", ""]


def test_an_absent_model_is_given_up_after_a_few_tries() -> None:
    def away() -> str:
        raise ModelUnavailableError("nobody listens")

    model = Scripted(away)
    model.resolve_error = ModelUnavailableError("nobody listens")
    run = triager(model).run([finding() for _ in range(50)], budget_s=60)
    assert len(model.asked) == BREAKER - 1  # the search for it was the first failure
    verdicts = [verdict for verdict in run.verdicts if verdict]
    assert len(verdicts) == 50
    assert {verdict.decision for verdict in verdicts} == {Decision.NEEDS_REVIEW}
    assert all("nobody listens" in verdict.reason for verdict in verdicts)
    assert all(verdict.prompt_sha256 for verdict in verdicts)
    assert (run.metrics.answered, run.metrics.needs_review) == (0, 50)


def test_a_model_that_recovers_is_asked_on() -> None:
    turns = iter(
        [ModelUnavailableError("x"), ModelUnavailableError("x"), None, ModelUnavailableError("x"), None]
    )

    def sometimes() -> str:
        error = next(turns)
        if error:
            raise error
        return '{"evidence":[2],"verdict":"true_positive"}'

    run = triager(Scripted(sometimes)).run([finding() for _ in range(5)], budget_s=60)
    assert [verdict.decision.value for verdict in run.verdicts if verdict] == [
        "needs_review",
        "needs_review",
        "true_positive",
        "needs_review",
        "true_positive",
    ]


def test_a_slow_model_costs_no_more_than_the_bounds() -> None:
    model = Scripted()
    model.takes = 5.0
    run = triager(model, timeout_s=30, budget_s=12).run([finding() for _ in range(9)], budget_s=1_000)
    assert model.now <= 12
    answered = [not verdict.reason for verdict in run.verdicts if verdict]
    assert answered == [True, True] + [False] * 7
    assert model.asked[2]["timeout_s"] == pytest.approx(2.0)
    last = run.verdicts[-1]
    assert last is not None
    assert "time" in last.reason
    model.now, model.asked = 0.0, []
    triager(model, budget_s=600).run([finding() for _ in range(9)], budget_s=4)
    assert model.now <= 4


def test_no_time_at_all_is_no_question() -> None:
    model = Scripted()
    run = triager(model).run([finding()], budget_s=-3)
    assert model.asked == []
    assert run.metrics.needs_review == 1


def test_a_broken_client_costs_a_verdict_and_not_the_scan() -> None:
    def broken() -> str:
        raise ZeroDivisionError

    run = triager(Scripted(broken)).run([finding()], budget_s=60)
    verdict = run.verdicts[0]
    assert verdict is not None
    assert verdict.reason == "the model client failed: ZeroDivisionError"


def test_stop() -> None:
    stop = threading.Event()
    stop.set()
    model = Scripted()
    assert triager(model).run([finding() for _ in range(3)], budget_s=60, stop=stop).metrics.needs_review == 3
    assert model.asked == []


NONSENSE = [
    "",
    "null",
    "[]",
    "{",
    '{"evidence":[99],"verdict":"true_positive"}',
    '"\ud800"',
    "a\x00b",
    '{"evidence":[1],"verdict":"maybe"}',
    '{"evidence":[1],"verdict":"true_positive"} and more',
]


@given(text=st.text(max_size=60) | st.sampled_from(NONSENSE))
def test_nonsense_becomes_needs_review_that_the_wire_takes(text: str) -> None:
    verdict = triager(Scripted(text)).run([finding()], budget_s=60).verdicts[0]
    assert verdict is not None
    assert verdict.decision is Decision.NEEDS_REVIEW
    assert verdict.reason
    assert "\x00" not in verdict.reason
    triaged = TriagedFinding(finding=finding(), verdict=verdict)
    assert TriagedFinding.model_validate_json(triaged.model_dump_json()) == triaged


def test_prose_is_cut_and_cleaned() -> None:
    answer = {
        "evidence": [[1, 2]],
        "reasoning": "a\u0000" * 9_000,
        "verdict": "true_positive",
        "recommendation": "\u0007x",
    }
    run = triager(Scripted(json.dumps(answer)), profile="full").run([finding()], budget_s=60)
    verdict = run.verdicts[0]
    assert verdict is not None
    assert verdict.decision is Decision.TRUE_POSITIVE
    assert len(verdict.reasoning) == 2_000
    assert "\x00" not in verdict.reasoning
    assert verdict.recommendation == "x"


def test_findings_with_the_same_prompt_are_one_question() -> None:
    model = Scripted()
    first = finding()
    copied = msgspec.structs.replace(first, path="copy.py", snippet_line=40, start_line=41, end_line=41)
    run = triager(model).run([first, copied, finding()], budget_s=60)
    assert len(model.asked) == 2
    assert [verdict and verdict.decision for verdict in run.verdicts] == [Decision.TRUE_POSITIVE] * 3
    assert [verdict and verdict.evidence for verdict in run.verdicts[:2]] == [[(10, 10)], [(40, 40)]]
    assert (run.metrics.answered, run.metrics.prompt_tokens) == (3, 18)


def test_a_failure_is_no_answer_to_an_equal_prompt() -> None:
    model = Scripted()
    answers = iter(["", '{"evidence":[1],"verdict":"true_positive"}'])

    def answer() -> str:
        if text := next(answers):
            return text
        raise ModelUnavailableError("it was away")

    model.answer = answer
    first = finding()
    run = triager(model).run([first, first], budget_s=60)
    assert [verdict and verdict.reason for verdict in run.verdicts] == ["it was away", ""]


def test_findings_of_one_file_and_weakness_follow_the_highest_of_them() -> None:
    model = Scripted()
    places = [("a.py", 1), ("b.py", 9), ("a.py", 3), ("b.py", 8), ("c.py", 7)]
    findings = [
        msgspec.structs.replace(finding(), path=path, rank=rank, title=f"{path} {rank}")
        for path, rank in places
    ]
    triager(model).run(findings, budget_s=60)
    names = [re.search(r"a, (\d+)", item["messages"][-1]) for item in model.asked]
    by_name = {re.search(r"q, (\d+)", item.snippet)[1]: item.path for item in findings}  # type: ignore[index]
    assert [by_name[name[1]] for name in names if name] == ["b.py", "b.py", "c.py", "a.py", "a.py"]


class Waiting(Scripted):
    """A model that answers `at_once` questions when all of them are there."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self._together = threading.Barrier(at_once, timeout=20)

    def chat(self, messages: Sequence[Message], **options: Any) -> Completion:
        completion = super().chat(messages, **options)
        self._together.wait()
        return completion


def unlike() -> Finding:
    """Return a finding whose prompt begins like no other one's."""
    steps = [f"step_{next(NUMBERS)}()" for _ in range(9)]
    code = "\n".join([*steps, "os.system(q)"])
    return make_finding(severity="high", snippet=code, snippet_line=1, start_line=10, end_line=10)


def test_several_questions_are_under_way_and_each_may_take_as_long_as_all_of_them() -> None:
    model = Waiting(at_once=3)
    findings = [unlike() for _ in range(9)]
    seen: list[tuple[int, int]] = []
    run = triager(model, concurrency=3, timeout_s=10).run(
        findings, budget_s=600, progress=lambda begun, of: seen.append((begun, of))
    )
    assert run.metrics.answered == 9
    assert seen == [(begun, 9) for begun in range(9)]
    assert {item["timeout_s"] for item in model.asked} == {30.0}
    assert len(run.transcript) == 9


def test_prompts_that_begin_alike_are_asked_one_after_the_other() -> None:
    lines = [f"    step_{number}()" for number in range(20)]
    functions = [
        "\n".join([f"def f(q):  # {name}", f"    run(q, {name})", *lines, f"    os.system(q, {number})"])
        for name in "xyz"
        for number in range(3)
    ]
    findings = [
        make_finding(severity="high", cwe="CWE-78", snippet=code, snippet_line=1, start_line=23, end_line=23)
        for code in functions
    ]
    under_way, most = set[str](), list[int]()

    class Watched(Waiting):
        def chat(self, messages: Sequence[Message], **options: Any) -> Completion:
            name = messages[-1].content.split("\n")[2]
            assert name not in under_way
            under_way.add(name)
            most.append(len(under_way))
            completion = super().chat(messages, **options)
            under_way.remove(name)
            return completion

    run = triager(Watched(at_once=3), concurrency=8).run(findings, budget_s=600)
    assert [verdict and verdict.reason for verdict in run.verdicts] == [""] * 9
    assert max(most) == 3


def test_a_dead_model_is_given_up_by_all_questions() -> None:
    def away() -> str:
        raise ModelUnavailableError("nobody listens")

    model = Scripted(away)
    run = triager(model, concurrency=4).run([unlike() for _ in range(50)], budget_s=60)
    assert BREAKER <= len(model.asked) < BREAKER + 4
    assert run.metrics.needs_review == 50


def test_a_lost_lease_ends_a_run_whose_model_hangs() -> None:
    hanging, lost = threading.Event(), ValueError("the lease is lost")

    def hang() -> str:
        hanging.wait(60)
        raise ModelUnavailableError("closed")

    def progress(begun: int, _: int) -> None:
        if begun == 2:
            raise lost

    try:
        with pytest.raises(ValueError, match="the lease is lost"):
            triager(Scripted(hang), concurrency=3).run(
                [unlike() for _ in range(9)], budget_s=60, progress=progress
            )
        assert not hanging.is_set()
    finally:
        hanging.set()


@pytest.mark.parametrize(
    ("digest", "resolved", "expected"),
    [
        pytest.param("file:good", 1, "production", id="a reply that names its file"),
        pytest.param("file:other", 1, "none", id="a reply that names another file"),
        pytest.param("", 2, "production", id="a server that is asked again"),
    ],
)
def test_a_gate_is_of_the_file_that_wrote_the_reply(digest: str, resolved: int, expected: Gate) -> None:
    class Naming(Scripted):
        resolves = 0

        def resolve(self) -> ModelInfo:
            self.resolves += 1
            return ModelInfo("securetag-v1", "m" * 64, "file:good")

        def chat(self, messages: Sequence[Message], **options: Any) -> Completion:
            return msgspec.structs.replace(super().chat(messages, **options), digest=digest)

    def find_gate(model: ModelInfo) -> Gate:
        is_published = model == ModelInfo("securetag-v1", "m" * 64, "file:good")
        return "production" if is_published else "none"

    model = Naming()
    run = Triager(model, TriageSettings(), find_gate=find_gate).run([finding()], budget_s=60)
    assert [verdict and verdict.gate for verdict in run.verdicts] == [expected]
    assert model.resolves == resolved
