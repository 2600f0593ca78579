"""The gate: a good candidate is published, a bad one is not, and neither run fails.

The release is built for real (synthetic, executed, scanned); the two models are constructed, so that
the outcome is fixed. Dagster runs the assets as `make up` does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
import pytest
import yaml
from constructed_models import scored_predictor
from made_once import run_folder
from synthetic_release import synthetic_release

from securetag import triage
from securetag.datasets.releases.release import read_release
from securetag.errors import GateError
from securetag.evaluation.gate import find_gate
from securetag.evaluation.suites import SuiteResult, merge_answers, run_suite, score_verdicts
from securetag.orchestration.definitions import defs
from securetag.pipeline import evaluate as evaluation
from securetag.pipeline.publish import publish
from securetag.records import Example
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings, get_settings
from securetag.system.hashing import hash_bytes

pytestmark = pytest.mark.system

BASE, CANDIDATE = "a" * 64, "b" * 64
Decide = Callable[[Example], str]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(synthetic_release(run_folder(tmp_path_factory)).path)


@pytest.fixture
def settings(release: Path) -> Settings:
    """A home whose registry has a base and a candidate model; neither file is opened."""
    settings = get_settings()
    registry = Registry(settings.models_dir)
    settings.models_dir.mkdir(parents=True)
    for model_id in (BASE, CANDIDATE):
        (settings.models_dir / f"{model_id}.gguf").write_bytes(model_id.encode())
        registry.add(
            ModelEntry(
                model_id=model_id,
                path=f"{model_id}.gguf",
                file_sha256=hash_bytes(model_id),
                base="constructed",
                quantisation="none",
                licence="Apache-2.0",
            )
        )
    registry.publish("securetag-base", BASE)
    return settings


def make_predictor(release: Path, decide: Decide, *, served: bool = True) -> triage.Predictor:
    """Return a model with log-probabilities that decides by `decide`; without `served` it answers no JSON."""
    rows = read_release(release)
    examples = {example.messages[1].content: example for example in [*rows.validation, *rows.test]}

    def score(prompt: str, dice: random.Random) -> float:
        return (3.0 if decide(examples[prompt]) == "false_positive" else -3.0) + dice.uniform(-1, 1)

    return scored_predictor(score, model_id=CANDIDATE, served=served)


def decide_always(verdict: str) -> Decide:
    return lambda _: verdict


def decide_correctly(example: Example) -> str:
    assert example.label is not None
    return example.label


def decide_wrongly(example: Example) -> str:
    return "false_positive" if example.label == "true_positive" else "true_positive"


def write_gate(path: Path) -> Path:
    """Write the demo's gate for the few rows of this release, so that its bounds are wider."""
    spec = yaml.safe_load(find_gate("demo").read_text("utf-8"))
    spec |= {"min_per_label": 5, "min_examples": 10, "min_trained_true_positives": 5}
    for line in spec["require"]:
        if line["metric"] == "lost":
            line["value"] = 0.5
    # The constructed models know the release's rows alone.
    spec["require"] = [line for line in spec["require"] if line["metric"] != "injection"]
    path.write_text(yaml.safe_dump(spec))
    return path


def evaluate_and_publish(
    monkeypatch: pytest.MonkeyPatch, release: Path, models: dict[str, triage.Predictor]
) -> dg.ExecuteInProcessResult:
    def ask(
        entry: ModelEntry, examples: Sequence[Example], *_: object, whole: Sequence[Example]
    ) -> SuiteResult:
        model = models[entry.model_id]
        return merge_answers(score_verdicts(model, examples), run_suite(model, whole))

    monkeypatch.setattr(evaluation, "ask_model", ask)
    gate = write_gate(get_settings().home / "gate.yaml")
    with dg.DagsterInstance.ephemeral() as instance:
        for asset, metadata in (("release", {"path": str(release)}), ("adapter", {"model_id": CANDIDATE})):
            instance.report_runless_asset_event(dg.AssetMaterialization(asset, metadata=metadata))
        return defs.resolve_job_def("close_the_loop").execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey("evaluation"), dg.AssetKey("published_model")],
            run_config={
                "ops": {
                    "evaluation": {
                        "config": {"per_axis": 40, "attacks": 0, "max_lost": 0.35, "gate": str(gate)}
                    }
                }
            },
            raise_on_error=False,
        )


def publish_alone(folder: str) -> dg.ExecuteInProcessResult:
    """Materialize `published_model` in a run of its own, after an evaluation of another run."""
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("evaluation", metadata={"path": folder}))
        return defs.resolve_job_def("close_the_loop").execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey("published_model")], raise_on_error=False
        )


def materialized_assets(result: dg.ExecuteInProcessResult) -> set[str]:
    return {
        event.asset_key.to_user_string()
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }


def test_a_candidate_that_passes_is_published(
    monkeypatch: pytest.MonkeyPatch, release: Path, settings: Settings
) -> None:
    models = {
        BASE: make_predictor(release, decide_always("true_positive")),
        CANDIDATE: make_predictor(release, decide_correctly),
    }
    result = evaluate_and_publish(monkeypatch, release, models)
    assert result.success
    assert materialized_assets(result) == {"evaluation", "published_model"}
    registry = Registry(settings.models_dir)
    assert registry.resolve("securetag-v1").model_id == CANDIDATE
    # The calibration that the gate judged is the one that a worker applies.
    stored = evaluation.latest_evaluation(CANDIDATE, settings).calibration
    assert stored is not None
    assert stored.threshold is not None
    assert registry.get(CANDIDATE).calibration == stored
    alone = publish_alone(evaluation.latest_evaluation(CANDIDATE, settings).folder)
    assert (alone.success, materialized_assets(alone)) == (True, {"published_model"})

    # Rows that it was trained on are withdrawn: it stays published until an operator decides.
    registry.mark(CANDIDATE, "an-erasure")
    with pytest.raises(GateError, match="withdrawn since"):
        publish(evaluation.latest_evaluation(CANDIDATE, settings), "securetag-v2", settings)
    assert "securetag-v2" not in registry.aliases()


@pytest.mark.parametrize(
    ("decide", "served"),
    [
        pytest.param(decide_wrongly, True, id="every verdict wrong"),
        pytest.param(decide_always("false_positive"), True, id="always false positive"),
        pytest.param(decide_correctly, False, id="served answers not JSON"),
    ],
)
def test_a_candidate_that_fails_is_not_published(
    monkeypatch: pytest.MonkeyPatch, release: Path, settings: Settings, decide: Decide, served: bool
) -> None:
    models = {
        BASE: make_predictor(release, decide_always("true_positive")),
        CANDIDATE: make_predictor(release, decide, served=served),
    }
    result = evaluate_and_publish(monkeypatch, release, models)
    assert result.success
    assert materialized_assets(result) == {"evaluation"}
    steps = {event.step_key: event.event_type_value for event in result.all_node_events}
    assert steps["published_model.publish_model"] == "STEP_SKIPPED"
    assert not [event for event in result.all_events if event.is_failure]
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.blocking) == ("gate", False, False)
    assert check.severity is dg.AssetCheckSeverity.ERROR
    figures = {name: value.value for name, value in check.metadata.items() if name != "reasons"}
    assert all(isinstance(value, int | float) for value in figures.values())
    assert figures["requirements not met"] >= 1
    dismissals = evaluation.latest_evaluation(CANDIDATE, settings).comparison.dismissals["candidate"][
        "trained"
    ]
    assert figures["trained, auc: candidate"] == pytest.approx(dismissals.auc, rel=1e-3)
    assert figures["trained, lost: of"] == dismissals.true > 0
    assert "securetag-v1" not in Registry(settings.models_dir).aliases()

    rejected = evaluation.latest_evaluation(CANDIDATE, settings)
    assert rejected.decision.reasons
    with pytest.raises(GateError):
        publish(rejected, "securetag-v1", settings)
    alone = publish_alone(rejected.folder)
    assert (alone.success, materialized_assets(alone)) == (True, set())
    assert "securetag-v1" not in Registry(settings.models_dir).aliases()


def test_no_axis_of_the_held_out_rows_shares_a_group_with_training(release: Path) -> None:
    rows = read_release(release)
    trained = {example.group for example in [*rows.train, *rows.validation]}
    assert not trained & {example.group for example in rows.test}
    assert {example.axis for example in rows.test} >= {
        "in_distribution",
        "unseen_sink",
        "unseen_framework",
        "unseen_guard",
    }
