"""`benchmarks/gpu/lora.py` runs without us: here on a CPU with a tiny shape, on an H100 with the real one."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from securetag.records import JsonObject

pytestmark = pytest.mark.system

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu" / "lora.py"
TINY = [
    "--device=cpu",
    "--layers=2",
    "--hidden=64",
    "--intermediate=128",
    "--heads=4",
    "--kv-heads=2",
    "--vocab=512",
    "--tokens=64",
    "--steps=2",
    "--rank=4",
]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_lora", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the script in an empty folder, as somebody who was handed it does."""
    copy = shutil.copy(SCRIPT, folder / "lora.py")
    return subprocess.run(
        [sys.executable, str(copy), *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_needs_torch_and_transformers_alone() -> None:
    lines = SCRIPT.read_text("utf-8").splitlines()
    words = [line.split()[1].split(".")[0] for line in lines if line.strip().startswith(("import ", "from "))]
    foreign = {word for word in words if word not in sys.stdlib_module_names}
    # tokenizers comes with transformers.
    assert foreign == {"torch", "transformers", "tokenizers"}


def test_without_a_gpu_it_says_where_to_run_it(
    script: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert script.main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "there is no CUDA GPU here" in printed.err
    assert "--device cpu" in printed.err


@pytest.mark.long
def test_speed_and_three_epochs_on_a_cpu(tiny: Path, tiny_release: Path, tmp_path: Path) -> None:
    part_2 = ["--base", str(tiny), "--release", str(tiny_release), "--learning-rate=0.02", "--batch=8"]
    done = run(tmp_path, *TINY, *part_2)
    assert done.returncode == 0, done.stderr[-2000:]
    result: JsonObject = json.loads(done.stdout)
    assert result["stopped"] == []
    speed = result["speed"]
    # Rank 4 on q, k, v, o, gate, up and down of both layers.
    assert speed["trained_parameters"] == 2 * 4 * (128 + 96 + 96 + 128 + 3 * 192)
    assert [(row["sequences"], row["gradient_checkpointing"]) for row in speed["setups"]] == [
        (1, False),
        (2, False),
        (1, True),
        (4, True),
    ]
    for row in speed["setups"]:
        assert row["tokens_s"] == pytest.approx(row["sequences"] * 64 / row["step_s"], rel=0.05)
        assert row["peak_process_gib"] > 0
    learning = result["learning"]
    assert (learning["rows"], learning["held_out"]) == (80, 4)
    assert [epoch["epoch"] for epoch in learning["epochs"]] == [0, 1, 2, 3]
    assert learning["epochs"][3]["loss"] < 0.5 * learning["epochs"][1]["loss"]
    assert learning["epochs"][3]["auc"] == 1.0


def test_the_budget_ends_it_with_what_it_has(
    script: ModuleType, tiny: Path, tiny_release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part_2 = ["--base", str(tiny), "--release", str(tiny_release)]
    assert script.main([*TINY, *part_2, "--budget-s=0.001"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["stopped"] == ["speed"]
    assert result["speed"]["setups"] == []
    assert [epoch["epoch"] for epoch in result["learning"]["epochs"]] == [0]


@pytest.mark.long
def test_what_was_measured_is_printed_although_the_release_is_none(
    script: ModuleType, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0 triage rows to train on"):
        script.main([*TINY, "--base", str(tiny), "--release", str(tmp_path)])
    assert len(json.loads(capsys.readouterr().out)["speed"]["setups"]) == 4


@pytest.mark.long
def test_a_step_that_hangs_is_ended_with_the_results_so_far(tmp_path: Path) -> None:
    code = (
        f"import sys, time; sys.path.insert(0, {str(SCRIPT.parent)!r}); import lora; lora.GRACE_S = 0.2\n"
        "lora.measure_speed = lambda options, results, share: time.sleep(600)\n"
        "lora.describe_device = lambda device: {'name': device}\n"
        "lora.main(['--device=cpu', '--budget-s=0.2'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    result = json.loads(done.stdout)
    assert (result["stopped"], result["device"]) == (["watchdog"], {"name": "cpu"})


@pytest.mark.parametrize(
    ("scores", "area"),
    [
        ([(False, 0.1), (True, 0.9)], 1.0),
        ([(True, 0.1), (False, 0.9)], 0.0),
        ([(True, 0.5), (False, 0.5)], 0.5),
        ([(True, 0.8), (False, 0.4), (True, 0.3), (False, 0.1)], 0.75),
        ([(True, 0.8)], None),
    ],
    ids=["right", "wrong", "tied", "three of four pairs", "one label"],
)
def test_the_area_under_the_curve(
    script: ModuleType, scores: list[tuple[bool, float]], area: float | None
) -> None:
    assert script.area_under_curve(scores) == area


def test_the_area_is_that_of_scikit_learn(script: ModuleType) -> None:
    import random

    from sklearn.metrics import roc_auc_score

    draw = random.Random(0)
    scores = [(draw.random() < 0.3, round(draw.random(), 1)) for _ in range(500)]
    expected = roc_auc_score([truth for truth, _ in scores], [value for _, value in scores])
    assert script.area_under_curve(scores) == pytest.approx(expected, abs=1e-4)
