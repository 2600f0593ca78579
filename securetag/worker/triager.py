"""Ask the model about the findings that need one; every one of them gets a verdict.

Those are the severe ones, and those of which only a shape is known: a dangerous construct whose input no
rule has traced. Several questions are under way at a time, since a server computes the tokens of several
answers together for less. A model that is absent, slow or talks nonsense costs time at most up to the bounds
in the settings; what it didn't answer is `needs_review` with the reason. Nothing here raises for a model's
sake.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import msgspec

from securetag import triage
from securetag.calibration import NOT_SLICED, WITHHELD, Calibration, apply_calibration
from securetag.errors import ModelUnavailableError
from securetag.records import SEVERITIES, Decision, Finding, Gate, Lang, RuleKind, Verdict
from securetag.serving.client import ModelClient, ModelInfo
from securetag.settings.sections import TriageSettings
from securetag.wire.queue import ModelMetrics

log = logging.getLogger(__name__)

#: Failures in a row after which the model is left alone for the rest of the scan.
BREAKER = 3
#: Kinds of rules that say nothing of where the data comes from.
_SHAPE_ALONE: tuple[set[RuleKind], ...] = ({"shape"}, {"template"}, {"shape", "template"})
#: Characters of prose that a verdict keeps, whatever the model wrote.
MAX_PROSE = 2_000
#: Share of a prompt that must be the beginning of the one before for both to be asked one after the other.
MIN_SHARED = 0.5


@dataclass
class TriageRun:
    """Verdicts of one scan, and what they cost."""

    #: One for each finding given; None for one that needs no model.
    verdicts: list[Verdict | None]
    metrics: ModelMetrics
    #: What the model wrote, one JSON object a question.
    transcript: list[str] = field(default_factory=list)


class Triager:
    """One scan's questions to one model."""

    def __init__(
        self,
        client: ModelClient,
        settings: TriageSettings,
        *,
        lang: Lang = "en",
        find_gate: Callable[[ModelInfo], Gate] = lambda _: "none",
        find_calibration: Callable[[str], Calibration | None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`find_gate` and `find_calibration` say what is recorded of a model (`securetag.worker.gates`)."""
        self._client = client
        self._settings = settings
        self._lang = lang
        self._find_gate = find_gate
        self._find_calibration = find_calibration
        self._clock = clock
        self._model: ModelInfo | None = None
        #: Held while the fields below are changed, since questions run in threads.
        self._lock = threading.Lock()
        self._failures = 0
        self._reason = ""
        #: What the model wrote, by the finding's index.
        self._notes: dict[int, str] = {}
        #: Answers of this scan by the digest of their prompts.
        self._completions: dict[str, triage.Completion] = {}

    def run(
        self,
        findings: Sequence[Finding],
        *,
        budget_s: float,
        stop: threading.Event | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> TriageRun:
        """Verdicts within `budget_s` seconds (the setting may be shorter). `progress` gets (begun, all).

        `settings.concurrency` questions are under way at a time. As they share the server, each may take as
        many times `settings.timeout_s`. Prompts that begin alike follow one another, so that a server which
        keeps its last prompts computes their beginning once.
        Once `stop` is set the rest abstains: the caller is about to drop the scan.
        """
        began = self._clock()
        deadline = began + min(budget_s, self._settings.budget_s)
        wanted = [index for index, finding in enumerate(findings) if self.asks(finding)]
        prompts = {
            index: triage.render(findings[index], profile=self._settings.profile, lang=self._lang)
            for index in _order(findings, wanted)
        }
        chains = _chain(prompts)
        at_once = min(self._settings.concurrency, len(chains))
        verdicts: list[Verdict | None] = [None] * len(findings)
        begun = 0

        def ask(chain: Sequence[int]) -> None:
            nonlocal begun
            for index in chain:
                with self._lock:
                    if progress:
                        progress(begun, len(wanted))
                    begun += 1
                if stop is not None and stop.is_set():
                    self._give_up("the scan was stopped")
                limit_s = min(at_once * self._settings.timeout_s, deadline - self._clock())
                verdicts[index] = _storable(self._verdict(index, findings[index], prompts[index], limit_s))

        if wanted:
            self._find_model()
        if at_once <= 1:
            for chain in chains:
                ask(chain)
        else:
            self._ask_together(ask, chains, at_once)
        given = [verdict for verdict in verdicts if verdict]
        metrics = ModelMetrics(
            findings=len(given),
            answered=sum(not verdict.reason or verdict.reason in WITHHELD for verdict in given),
            needs_review=sum(verdict.decision is Decision.NEEDS_REVIEW for verdict in given),
            prompt_tokens=sum(verdict.prompt_tokens for verdict in given),
            completion_tokens=sum(verdict.completion_tokens for verdict in given),
            duration_ms=round((self._clock() - began) * 1000),
        )
        return TriageRun(verdicts, metrics, [self._notes[index] for index in prompts if index in self._notes])

    def asks(self, finding: Finding) -> bool:
        """Return whether the finding needs the model."""
        return needs_model(finding, self._settings)

    def _ask_together(
        self, ask: Callable[[Sequence[int]], None], chains: Sequence[Sequence[int]], at_once: int
    ) -> None:
        """Call `ask` with each chain, `at_once` at a time.

        After an exception nobody waits for what is under way: it ends when the caller closes the client.
        """
        pool = ThreadPoolExecutor(at_once, thread_name_prefix="triage")
        try:
            questions = [pool.submit(contextvars.copy_context().run, ask, chain) for chain in chains]
            for done in wait(questions, return_when=FIRST_EXCEPTION).done:
                done.result()
        except BaseException:
            self._give_up("the scan was stopped")
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _find_model(self) -> None:
        with self._counted():
            # Another model may have been published since the last scan.
            self._model = self._client.resolve()

    def _verdict(self, index: int, finding: Finding, prompt: triage.Prompt, limit_s: float) -> Verdict:
        if limit_s <= 0:
            self._give_up("the time for this scan's triage was used up")
        if self._reason:
            return triage.abstain(prompt, self._reason)
        before = self._model
        with self._counted() as failure:
            completion = self._complete(prompt, limit_s)
            verdict = triage.verdict(
                completion.text,
                prompt,
                model_id=completion.model_id,
                alias=completion.alias,
                prompt_tokens=completion.prompt_tokens,
                completion_tokens=completion.completion_tokens,
                duration_ms=completion.duration_ms,
            )
            verdict = apply_calibration(verdict, completion, self._find_calibration(completion.model_id))
            is_dismissed = verdict.decision is Decision.FALSE_POSITIVE
            if is_dismissed and triage.shows_comments(finding, prompt.profile):
                verdict = msgspec.structs.replace(verdict, decision=Decision.NEEDS_REVIEW, reason=NOT_SLICED)
            verdict = msgspec.structs.replace(verdict, gate=self._gate_of(completion, before))
            self._notes[index] = _describe(finding, prompt, completion, verdict)
            return verdict
        return triage.abstain(prompt, failure[0])

    def _complete(self, prompt: triage.Prompt, timeout_s: float) -> triage.Completion:
        """Return the model's answer; that to an equal prompt of this scan costs nothing again."""
        if earlier := self._completions.get(prompt.sha256):
            return msgspec.structs.replace(
                earlier, prompt_tokens=0, cached_tokens=0, completion_tokens=0, duration_ms=0
            )
        completion = self._client.chat(
            prompt.messages,
            schema=triage.schema(prompt),
            max_tokens=triage.MAX_ANSWER_TOKENS[prompt.profile],
            timeout_s=timeout_s,
            logprobs=True,
        )
        self._completions[prompt.sha256] = completion
        return completion

    def _gate_of(self, completion: triage.Completion, before: ModelInfo | None) -> Gate:
        """Return the gate of the model that has answered, or `none` where it is in doubt which one that was.

        A reply of our own runtime says which bytes wrote it. For any other, `before` was served before the
        question was sent; the name may have got another model since, so the server is asked again after the
        answer, where it matters.
        """
        if completion.digest:
            return self._find_gate(ModelInfo(completion.alias, completion.model_id, completion.digest))
        if before is not None and (gate := self._find_gate(before)) == "none":
            return "none"
        after: ModelInfo | None = None
        with contextlib.suppress(ModelUnavailableError):
            after = self._client.resolve()
        self._model = after
        is_same = (completion.model_id, completion.alias, after) == (
            before and before.model_id,
            before and before.alias,
            before,
        )
        return gate if before is not None and is_same else "none"

    @contextlib.contextmanager
    def _counted(self) -> Iterator[list[str]]:
        """Turn any failure of the client into a reason, and the third in a row into giving up."""
        failure: list[str] = []
        try:
            yield failure
            with self._lock:
                self._failures = 0
        except ModelUnavailableError as error:
            failure.append(str(error))
        except Exception as error:
            # A client's own fault must cost a verdict, never the scan.
            log.exception("the model client failed")
            failure.append(f"the model client failed: {type(error).__name__}")
        if failure:
            with self._lock:
                self._failures += 1
                is_broken = self._failures >= BREAKER
            if is_broken:
                self._give_up(f"the model was given up after {BREAKER} failures; the last: {failure[0]}")

    def _give_up(self, reason: str) -> None:
        with self._lock:
            self._reason = self._reason or reason


def _describe(
    finding: Finding, prompt: triage.Prompt, completion: triage.Completion, verdict: Verdict
) -> str:
    """Return the line of the transcript."""
    noted = {
        "fingerprint": finding.fingerprint,
        "prompt_sha256": prompt.sha256,
        "model_id": completion.model_id,
        "completion": completion.text[:MAX_PROSE],
        "decision": verdict.decision.value,
        "duration_ms": completion.duration_ms,
    }
    return json.dumps(noted)


def _order(findings: Sequence[Finding], wanted: Sequence[int]) -> list[int]:
    """Return the indices by rank, each group of one file and weakness at the place of its first one.

    In a group the code decides: what begins alike is computed once by a server that keeps its last prompt.
    """
    by_rank = sorted(wanted, key=lambda index: -findings[index].rank)
    place: dict[tuple[str, str], int] = {}
    for index in by_rank:
        place.setdefault((findings[index].path, findings[index].cwe), len(place))
    return sorted(
        by_rank,
        key=lambda index: (
            place[findings[index].path, findings[index].cwe],
            findings[index].snippet_line,
            findings[index].start_line,
        ),
    )


def _chain(prompts: Mapping[int, triage.Prompt]) -> list[list[int]]:
    """Return the indices in chains, each asked one after the other.

    A prompt is in the chain of the one before where it shares MIN_SHARED with it, and in that of an equal
    one, whose answer it gets.
    """
    chains: list[list[int]] = []
    by_digest: dict[str, list[int]] = {}
    before = ""
    for index, prompt in prompts.items():
        text = prompt.messages[-1].content
        chain = by_digest.get(prompt.sha256)
        if chain is None:
            if not chains or not before.startswith(text[: math.ceil(MIN_SHARED * len(text))]):
                chains.append([])
            chain, before = chains[-1], text
        chain.append(index)
        by_digest[prompt.sha256] = chain
    return chains


def needs_model(finding: Finding, settings: TriageSettings) -> bool:
    """Return whether a finding is severe, or its evidence is a shape alone."""
    is_severe = SEVERITIES.index(finding.severity) >= SEVERITIES.index(settings.min_severity)
    return is_severe or {match.kind for match in finding.matches} in _SHAPE_ALONE


def _storable(verdict: Verdict) -> Verdict:
    """The verdict with whatever a model or a server wrote made fit for a database and a terminal."""
    return msgspec.structs.replace(
        verdict,
        reason=_clean(verdict.reason),
        reasoning=_clean(verdict.reasoning),
        recommendation=_clean(verdict.recommendation),
        model_id=_clean(verdict.model_id),
        alias=_clean(verdict.alias),
    )


def _clean(text: str) -> str:
    """Short, without control characters and without halves of surrogate pairs."""
    return triage.defuse(text)[:MAX_PROSE].encode("utf-8", errors="replace").decode()
