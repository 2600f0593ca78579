"""Ask a served model about labeled findings of real code: one score each, higher for a false positive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from securetag.calibration import read_margin
from securetag.datasets.realism import LabeledSnippet, Transfer, render_finding, score_transfer
from securetag.errors import ModelUnavailableError, NotFoundError
from securetag.evaluation.suites import ModelAnswer, ask_for_verdict
from securetag.records import Decision
from securetag.serving.client import ModelClient, RuntimeClient, connect, make_predictor
from securetag.serving.registry import ModelEntry, Registry
from securetag.serving.runtime import CONTEXT, Runtime
from securetag.settings import Settings, cores
from securetag.system.hashing import hash_file
from securetag.triage import Predictor, Profile

#: Seconds for one answer.
ANSWER_S = 60.0
#: Requests that one model answers at a time.
SLOTS = 2
#: Characters of a model's id from which on its beginning names it.
MIN_ID_CHARS = 6
#: Share of the findings that must be answered.
MIN_ANSWERED = 0.9
#: (answered, of all) → None.
Progress = Callable[[int, int], None]
_SCORE_OF_DECISION = {
    Decision.FALSE_POSITIVE: 1.0,
    Decision.NEEDS_REVIEW: 0.0,
    Decision.TRUE_POSITIVE: -1.0,
}


class ModelTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """How well one model tells the labels of real findings apart."""

    model_id: str
    transfer: Transfer
    #: One a finding, higher for a false positive.
    scores: list[float]
    #: Findings without a usable answer: they count as true positives that the model is surest of.
    unanswered: int
    #: Whether scores are log-probabilities; else they are the verdicts, which have three values.
    has_logprobs: bool


@contextmanager
def open_model(name: str, settings: Settings, *, profile: Profile) -> Iterator[ModelClient]:
    """Yield a client of the model that `name` means.

    A GGUF file by its path, and a model of the registry by alias or by the beginning of its id, are served
    for the while by the embedded runtime, with a context for prompts of `profile`. Any other name is asked of
    the endpoint of the settings (`triage.backend`, `triage.url`): Ollama or any OpenAI-compatible server.
    Raises NotFoundError for a missing file, ModelUnavailableError where no endpoint serves the name.
    """
    file = _find_file(name, settings)
    if file is None:
        triage = settings.triage.model_copy(update={"aliases": [name]})
        client = connect(settings.model_copy(update={"triage": triage}))
        try:
            client.resolve()
            yield client
        finally:
            client.close()
        return
    path, model_id = file
    with Runtime(log_dir=settings.home / "logs") as runtime:
        threads = max(1, cores() // 2)
        url = runtime.serve(
            path, alias="scored", model_id=model_id, slots=SLOTS, ctx=CONTEXT[profile], threads=threads
        )
        embedded = RuntimeClient(url, run_dir=settings.run_dir, aliases=["scored"])
        try:
            yield embedded
        finally:
            embedded.close()


def _find_file(name: str, settings: Settings) -> tuple[Path, str] | None:
    """Return file and id of a model that the embedded runtime can serve."""
    if name.endswith(".gguf"):
        path = Path(name)
        if not path.is_file():
            raise NotFoundError(f"there is no file {name}", hint="Name a GGUF file, or a model.")
        return path, f"file:{hash_file(path)}"
    entry = find_registered(name, settings)
    return None if entry is None else (Registry(settings.models_dir).path(entry), entry.model_id)


def find_registered(name: str, settings: Settings) -> ModelEntry | None:
    """Return the model of the registry that an alias or the beginning of an id names, or None."""
    registry = Registry(settings.models_dir)
    with suppress(NotFoundError):
        return registry.resolve(name)
    with suppress(NotFoundError):
        return registry.get(name) if len(name) >= MIN_ID_CHARS else None
    return None


def score_model(
    name: str,
    findings: Sequence[LabeledSnippet],
    profile: Profile,
    settings: Settings,
    progress: Progress | None = None,
) -> ModelTransfer:
    """Ask a served model about each finding and return how well its scores fit the labels.

    Raises ModelUnavailableError where the model isn't served or answers too few, InputError unless both
    labels are there.
    """
    with open_model(name, settings, profile=profile) as client:
        predictor = make_predictor(client, timeout_s=ANSWER_S, logprobs=True)
        return score_predictor(predictor, findings, profile, progress)


def score_predictor(
    predictor: Predictor,
    findings: Sequence[LabeledSnippet],
    profile: Profile,
    progress: Progress | None = None,
) -> ModelTransfer:
    """Ask `predictor` about each finding; as `score_model`."""
    prompts = [render_finding(finding, profile) for finding in findings]
    answers: list[ModelAnswer] = []
    limits: dict[Profile, int] = {}
    with ThreadPoolExecutor(SLOTS, thread_name_prefix="score") as pool:
        for answer in pool.map(lambda prompt: ask_for_verdict(predictor, prompt, limits), prompts):
            answers.append(answer)
            if progress is not None:
                progress(len(answers), len(prompts))
    read = [read_margin(answer.completion) for answer in answers]
    unanswered = sum(
        not answer.valid and margin is None for answer, margin in zip(answers, read, strict=True)
    )
    if not answers or unanswered > len(answers) * (1 - MIN_ANSWERED):
        raise ModelUnavailableError(
            f"the model gave {len(answers) - unanswered} of {len(answers)} usable answers",
            hint=f"{MIN_ANSWERED:.0%} are needed: look whether it is loaded and takes a JSON schema.",
        )
    margins = [margin for margin in read if margin is not None]
    least = min(margins, default=0.0) - 1
    scores = [
        (least if margin is None else margin)
        if margins
        else _SCORE_OF_DECISION[answer.decision if answer.valid else Decision.TRUE_POSITIVE]
        for answer, margin in zip(answers, read, strict=True)
    ]
    return ModelTransfer(
        model_id=next((a.completion.model_id for a in answers if a.completion.model_id), ""),
        transfer=score_transfer(findings, scores),
        scores=scores,
        unanswered=unanswered,
        has_logprobs=bool(margins),
    )
