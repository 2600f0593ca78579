"""Base and candidate on the same held-out rows in one run, and the gate's decision."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import msgspec

from securetag.datasets.releases.release import read_release
from securetag.errors import NotFoundError
from securetag.evaluation import gate
from securetag.evaluation.compare import Comparison, compare
from securetag.evaluation.gate import GateDecision, GateSpec
from securetag.evaluation.suites import SuiteResult, run_suite, sample_rows
from securetag.records import Example
from securetag.serving.client import RuntimeClient, make_predictor
from securetag.serving.registry import ModelEntry, Registry
from securetag.serving.runtime import Runtime
from securetag.settings import Settings, cores

#: Seconds for one answer; a model of this size takes well under one.
ANSWER_S = 60.0
#: Requests that one model answers at a time; what they share is the prompt's beginning.
SLOTS = 2
#: Seconds between two reports of progress.
REPORT_S = 2.0


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation; everything in it is also in `folder`."""

    folder: str
    model_id: str
    base_id: str
    release: str
    comparison: Comparison
    decision: GateDecision


def evaluate(
    candidate_id: str,
    base_id: str,
    release: Path,
    spec: GateSpec,
    settings: Settings,
    *,
    per_axis: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Ask both models about up to `per_axis` held-out rows of each axis, compare, decide.

    Both run at the same time, each with half of the cores. Raises NotFoundError for a model that the
    registry doesn't know, ReleaseError for a broken release.
    """
    registry = Registry(settings.models_dir)
    examples = sample_rows(read_release(release).test, per_axis)
    models = {"base": registry.get(base_id), "candidate": registry.get(candidate_id)}
    done = dict.fromkeys(models, 0)

    def count(name: str) -> Callable[[int, int], None]:
        return lambda number, _: done.update({name: number})

    with ThreadPoolExecutor(len(models), thread_name_prefix="evaluate") as pool:
        futures = {
            name: pool.submit(ask_model, entry, examples, name, settings, count(name))
            for name, entry in models.items()
        }
        # Progress is told from this thread: who listens (Dagster) may not be safe in others.
        while wait(futures.values(), timeout=REPORT_S).not_done:
            for name, number in done.items():
                if progress is not None:
                    progress(name, number, len(examples))
        results = {name: future.result() for name, future in futures.items()}
    comparison = compare(results["base"], results["candidate"])
    decision = gate.decide(comparison, spec)
    against = f"{candidate_id[:12]}-against-{base_id[:12]}-{release.name}"
    folder = settings.home / "evaluations" / against
    evaluation = Evaluation(
        folder=str(folder),
        model_id=candidate_id,
        base_id=base_id,
        release=release.name,
        comparison=comparison,
        decision=decision,
    )
    _write(evaluation, results)
    return evaluation


def ask_model(
    entry: ModelEntry,
    examples: Sequence[Example],
    name: str,
    settings: Settings,
    progress: Callable[[int, int], None] | None = None,
) -> SuiteResult:
    """Serve one registered model on a free port and ask it about every example."""
    gguf = Registry(settings.models_dir).path(entry)
    with Runtime(log_dir=settings.home / "logs") as runtime:
        url = runtime.serve(
            gguf, alias=name, model_id=entry.model_id, slots=SLOTS, threads=max(1, cores() // 2)
        )
        client = RuntimeClient(url, run_dir=settings.run_dir, aliases=[name])
        try:
            asks = make_predictor(client, timeout_s=ANSWER_S, logprobs=True)
            return run_suite(asks, examples, workers=SLOTS, progress=progress)
        finally:
            client.close()


def _write(evaluation: Evaluation, results: dict[str, SuiteResult]) -> None:
    from securetag.evaluation.plots import EMBEDDED_CAPTION, axis_accuracy, confusion_matrices

    folder = Path(evaluation.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, result in results.items():
        result.write(folder / f"{name}.jsonl")
    caption = f"{evaluation.release}: {EMBEDDED_CAPTION}"
    (folder / "confusion.png").write_bytes(confusion_matrices(evaluation.comparison, caption=caption))
    (folder / "accuracy.png").write_bytes(axis_accuracy(evaluation.comparison, caption=caption))
    (folder / "report.json").write_text(
        json.dumps(gate.report(evaluation.comparison, evaluation.decision), indent=2) + "\n"
    )
    (folder / "evaluation.json").write_bytes(msgspec.json.encode(evaluation))


def read_evaluation(folder: Path) -> Evaluation:
    """What `evaluate` wrote. Raises NotFoundError."""
    try:
        return msgspec.json.decode((folder / "evaluation.json").read_bytes(), type=Evaluation)
    except OSError as error:
        raise NotFoundError(
            f"there is no evaluation in {folder}", hint="Run `securetag evaluate`."
        ) from error


def latest_evaluation(model_id: str, settings: Settings) -> Evaluation:
    """The newest evaluation of a model. Raises NotFoundError when it was never evaluated."""
    folders = (settings.home / "evaluations").glob(f"{model_id[:12]}-*")
    newest = max(folders, key=lambda folder: (folder / "evaluation.json").stat().st_mtime, default=None)
    if newest is None:
        raise NotFoundError(
            f"{model_id[:12]} was never evaluated",
            hint="Run `securetag evaluate` first: publishing needs a gate.",
        )
    return read_evaluation(newest)
