"""Packed rows train as rows side by side do: none sees another. And the recipe benchmark runs on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from securetag.records import JsonObject

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "gpu" / "recipe.py"


def first_loss(recipe: Path, release: Path, run_dir: Path, **overrides: object) -> float:
    """Loss of the first step, before anything was learned, over the same eight rows."""
    fields = {"max_rows": 8, "epochs": 1, "group_by_length": False, **overrides}
    command = [sys.executable, "-m", "securetag.training.sft", f"--recipe={recipe}", f"--run={run_dir}"]
    command += [f"--release={release}", f"--overrides={json.dumps(fields)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    line = (run_dir / "progress.jsonl").read_text("utf-8").splitlines()[0]
    return float(json.loads(line)["loss"])


@pytest.mark.long
def test_a_packed_row_sees_no_other(tiny_recipe: Path, tiny_release: Path, tmp_path: Path) -> None:
    apart = first_loss(tiny_recipe, tiny_release, tmp_path / "apart", batch=8, micro_batch=8)
    packed = first_loss(
        tiny_recipe, tiny_release, tmp_path / "packed", packing=True, batch=1, micro_batch=1, max_tokens=4096
    )
    assert packed == pytest.approx(apart, abs=2e-4)
    metrics = json.loads((tmp_path / "packed" / "metrics.json").read_bytes())
    assert (metrics["rows"], metrics["steps"]) == (8, 1)


@pytest.mark.long
def test_the_recipe_benchmark_measures_variants(
    tiny: Path, tiny_recipe: Path, tiny_release: Path, tmp_path: Path
) -> None:
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 700}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    command = [sys.executable, str(BENCHMARK), f"--recipe={tiny_recipe}", f"--release={tiny_release}"]
    command += [f"--tokenizer={tiny}", f"--work={tmp_path}", f"--shape={json.dumps(shape)}", "--steps=4"]
    command += ["--variant={}", '--variant={"max_tokens": 16}']
    done = subprocess.run(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    measured, refused = json.loads(done.stdout)["results"]
    expected: JsonObject = {"steps": 4, "peak_gpu_gib": 0.0}
    assert expected.items() <= measured.items()
    assert measured["tokens_s"] > 0
    assert "can train" in refused["error"]
