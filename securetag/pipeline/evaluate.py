"""Base and candidate on the same held-out rows in one run, and the gate's decision.

The candidate is calibrated first: it is asked about validation rows, and the probability and threshold that
these give are kept with it and decide its verdicts from then on, here as in a worker. The base has none, so
that it dismisses nothing, as where it is served.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import msgspec

from securetag.calibration import Calibration
from securetag.datasets.releases.release import Release, read_manifest, read_release
from securetag.errors import InputError, NotFoundError
from securetag.evaluation import gate
from securetag.evaluation.calibrate import Scored, fit_calibration
from securetag.evaluation.compare import Comparison, compare
from securetag.evaluation.fixes import FixCheck
from securetag.evaluation.gate import GateDecision, GateSpec
from securetag.evaluation.injection import measure_injection
from securetag.evaluation.suites import (
    SuiteResult,
    add_unasked,
    apply_to_rows,
    merge_answers,
    run_suite,
    sample_rows,
    score_verdicts,
    select_scorable,
)
from securetag.pipeline.baselines import fit_baselines, predict
from securetag.pipeline.fixes import check_fixes
from securetag.pipeline.injection import (
    PER_CASE,
    SCRIPT_SHARE,
    Attacks,
    draw_cases,
    make_attacks,
    read_script_cases,
    read_style,
)
from securetag.records import Example
from securetag.serving.client import RuntimeClient, make_predictor
from securetag.serving.registry import ModelEntry, Registry
from securetag.serving.runtime import Runtime
from securetag.settings import Settings, cores

#: Seconds for one answer; a model of this size takes well under one.
ANSWER_S = 60.0
#: Whole answers that one model writes at a time, as for a worker. Verdicts are asked for one by one, so that
#: members of a pair share what was read.
SLOTS = 2
#: Where the base is asked about a part of the rows, one in so many whole answers is asked of it too.
BASE_WHOLE = 3
#: Seconds between two reports of progress.
REPORT_S = 2.0
#: Share of the validation rows that must have a score: what wasn't scored may be what the model finds hard.
MIN_SCORED = 0.98


class EvaluationSizes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many rows are asked about."""

    #: Most held-out rows like the trained ones, and of each other axis.
    trained: int = 400
    per_axis: int = 24
    #: Most held-out rows like the trained ones that the base is asked about, and then a quarter of `per_axis`
    #: of each other axis, and for a third of the whole answers; None: all. It has no calibration, so that it
    #: dismisses none, whatever it says.
    base_rows: int | None = None
    #: Most validation rows that the calibration is fitted on.
    validation: int = 400
    #: Rows whose whole answer is asked for as well, under the schema and freely.
    whole: int = 20
    #: Attacks by text on vulnerable code (`securetag.pipeline.injection`).
    attacks: int = 560
    #: Share of true positives that the threshold may lose. Below the gate's bound, which holds on other rows.
    max_lost: float = 0.02


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation; everything in it is also in `folder`."""

    folder: str
    model_id: str
    base_id: str
    release: str
    comparison: Comparison
    decision: GateDecision
    #: The candidate's; None where the validation rows don't allow one.
    calibration: Calibration | None = None


def evaluate(
    candidate_id: str,
    base_id: str,
    release: Path,
    spec: GateSpec,
    settings: Settings,
    *,
    sizes: EvaluationSizes | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Calibrate the candidate, ask both models about held-out rows, compare, decide.

    Both run at the same time, each with half of the cores. Raises NotFoundError for a model that the
    registry doesn't know, ReleaseError for a broken release.
    """
    sizes = sizes or EvaluationSizes()
    registry = Registry(settings.models_dir)
    rows = read_release(release)
    examples = sample_rows(rows.test, sizes.per_axis, trained=sizes.trained)
    validation = sample_rows(rows.validation, sizes.validation, trained=sizes.validation)
    whole = sample_rows(examples, max(2, sizes.whole // max(1, len({e.axis for e in examples}))))
    whole_rows = {"base": whole if sizes.base_rows is None else whole[::BASE_WHOLE], "candidate": whole}
    attacks = _make_attacks(release, rows, sizes, settings)
    held_out = [*validation, *examples]
    asked_rows = {example.id for example in held_out}
    questions = {
        "base": _sample_for_base(examples, whole_rows["base"], sizes),
        "candidate": [*held_out, *(each for each in attacks.questions if each.id not in asked_rows)],
    }
    models = {"base": registry.get(base_id), "candidate": registry.get(candidate_id)}
    done = dict.fromkeys(models, 0)

    def count(name: str) -> Callable[[int, int], None]:
        return lambda number, _: done.update({name: number})

    with ThreadPoolExecutor(len(models), thread_name_prefix="evaluate") as pool:
        futures = {
            name: pool.submit(
                ask_model, entry, questions[name], name, settings, count(name), whole=whole_rows[name]
            )
            for name, entry in models.items()
        }
        # Progress is told from this thread: who listens (Dagster) may not be safe in others.
        while wait(futures.values(), timeout=REPORT_S).not_done:
            for name, number in done.items():
                if progress is not None:
                    progress(name, number, len(questions[name]) + len(whole_rows[name]))
        results = {name: future.result() for name, future in futures.items()}
    ids = {example.id for example in examples}
    population = describe_population(release, validation)
    fitted_on = _part(results["candidate"], {example.id for example in validation})
    calibration = _calibrate(fitted_on, candidate_id, sizes.max_lost, population)
    if calibration is not None:
        registry.record_calibration(calibration)
    attacked = apply_to_rows(
        _part(results["candidate"], {each.id for each in attacks.questions}), calibration
    )
    results = {
        "base": add_unasked(apply_to_rows(results["base"], None), examples),
        "candidate": apply_to_rows(_part(results["candidate"], ids), calibration),
    }
    baselines = _predict_baselines(rows, validation, examples, sizes.max_lost, population)
    comparison = compare(results["base"], results["candidate"], baselines=baselines)
    if attacks.attacks:
        comparison = msgspec.structs.replace(
            comparison, injection=measure_injection(attacks.attacks, {row.id: row for row in attacked.rows})
        )
        results["attacks"] = attacked
    checked = {name: check_fixes(results[name].rows, examples, settings) for name in models}
    comparison = msgspec.structs.replace(
        comparison, fixes={name: figures for name, (figures, _) in checked.items()}
    )
    against = f"{candidate_id[:12]}-against-{base_id[:12]}-{release.name}"
    evaluation = Evaluation(
        folder=str(settings.home / "evaluations" / against),
        model_id=candidate_id,
        base_id=base_id,
        release=release.name,
        comparison=comparison,
        decision=gate.decide(comparison, spec),
        calibration=calibration,
    )
    _write(evaluation, results | baselines, {name: checks for name, (_, checks) in checked.items()})
    return evaluation


def ask_model(
    entry: ModelEntry,
    examples: Sequence[Example],
    name: str,
    settings: Settings,
    progress: Callable[[int, int], None] | None = None,
    *,
    whole: Sequence[Example] = (),
) -> SuiteResult:
    """Serve one registered model on a free port and ask it for the verdict of every example.

    Of `whole`, a part of them, the whole answers are asked for as well.
    """
    gguf = Registry(settings.models_dir).path(entry)
    total = len(examples) + len(whole)

    def report(begun: int) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda number, _: progress(begun + number, total)

    with Runtime(log_dir=settings.home / "logs") as runtime:
        url = runtime.serve(
            gguf, alias=name, model_id=entry.model_id, slots=SLOTS, threads=max(1, cores() // 2)
        )
        client = RuntimeClient(url, run_dir=settings.run_dir, aliases=[name])
        try:
            asks = make_predictor(client, timeout_s=ANSWER_S, logprobs=True)
            answers = run_suite(asks, whole, workers=SLOTS, progress=report(0))
            verdicts = score_verdicts(asks, examples, progress=report(len(whole)))
            return merge_answers(verdicts, answers)
        finally:
            client.close()


def fit_on_rows(result: SuiteResult, model_id: str, *, max_lost: float, population: str) -> Calibration:
    """Fit a calibration on the scored rows of `result`. Raises InputError where too few have a score."""
    scored = [Scored(row.margin, row.label) for row in result.rows if row.margin is not None]
    if not result.rows or len(scored) < len(result.rows) * MIN_SCORED:
        raise InputError(
            f"{len(scored)} of {len(result.rows)} validation rows got a score; {MIN_SCORED:.0%} are needed",
            hint="Serve the model with a runtime that gives log-probabilities.",
        )
    return fit_calibration(
        scored,
        model_id=model_id,
        prompt_version=result.rows[0].prompt_version,
        max_lost=max_lost,
        population=population,
    )


def describe_population(release: Path, validation: Sequence[Example]) -> str:
    """Return in words which rows a bound holds for."""
    sources = ", ".join(sorted({example.source for example in validation}))
    mistakes = ", ".join(read_manifest(release).params.get("mistakes") or ())
    kinds = f"; kinds of mistake: {mistakes}" if mistakes else ""
    return f"validation rows of release {release.name} ({sources}{kinds})"


def _make_attacks(release: Path, rows: Release, sizes: EvaluationSizes, settings: Settings) -> Attacks:
    """Return attacks on code like the release's; none where it has no triage rows, or none are wanted."""
    triage_rows = [example for example in rows.test if select_scorable(example)]
    if not sizes.attacks or not triage_rows:
        return Attacks([], [])
    work = settings.home / "work"
    work.mkdir(parents=True, exist_ok=True)
    mistakes = read_manifest(release).params.get("mistakes") or ()
    count = -(-sizes.attacks // PER_CASE)
    scripts = read_script_cases(round(count * SCRIPT_SHARE))
    cases = draw_cases(count - len(scripts), mistakes=mistakes, work=work)
    return make_attacks([*cases, *scripts], read_style(triage_rows))


def _calibrate(
    validation: SuiteResult, model_id: str, max_lost: float, population: str
) -> Calibration | None:
    """Fit on validation rows; None where they have one label, or too few have a score."""
    try:
        return fit_on_rows(validation, model_id, max_lost=max_lost, population=population)
    except InputError:
        return None


def _sample_for_base(
    examples: Sequence[Example], whole: Sequence[Example], sizes: EvaluationSizes
) -> list[Example]:
    if sizes.base_rows is None:
        return list(examples)
    sample = [*sample_rows(examples, sizes.per_axis // 4, trained=sizes.base_rows), *whole]
    ids = {example.id for example in sample}
    return [example for example in examples if example.id in ids]


def _part(result: SuiteResult, ids: set[str]) -> SuiteResult:
    return SuiteResult(rows=[row for row in result.rows if row.id in ids])


def _predict_baselines(
    release: Release,
    validation: Sequence[Example],
    examples: Sequence[Example],
    max_lost: float,
    population: str,
) -> dict[str, SuiteResult]:
    """Return each baseline's decisions on the held-out rows, calibrated as the candidate is."""
    decided = {}
    for name, score in fit_baselines(release.train).items():
        result = predict(name, score, [*validation, *examples])
        fitted_on = _part(result, {example.id for example in validation})
        calibration = _calibrate(fitted_on, name, max_lost, population)
        decided[name] = apply_to_rows(_part(result, {example.id for example in examples}), calibration)
    return decided


def _write(evaluation: Evaluation, results: dict[str, SuiteResult], fixes: dict[str, list[FixCheck]]) -> None:
    from securetag.evaluation.plots import EMBEDDED_CAPTION, axis_accuracy, confusion_matrices

    folder = Path(evaluation.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, result in results.items():
        result.write(folder / f"{name}.jsonl")
    (folder / "fixes.json").write_bytes(msgspec.json.encode(fixes))
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
