"""Adapter + base → one Hugging Face folder that llama.cpp's converter reads.

A merged model is what we publish: adapters beside a quantized base crashed Ollama with flash attention.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from securetag.errors import TrainingError
from securetag.system.hashing import hash_file
from securetag.system.processes import run_to_end
from securetag.training import base
from securetag.training.recipe import Recipe

if TYPE_CHECKING:
    from peft import PeftModel

#: Seconds; 135M takes 20, 8B some minutes.
TIMEOUT_S = 1800.0


def merge(run_dir: Path, out: Path) -> Path:
    """Merge a finished run's adapter into its base, in a process of its own so that its memory goes with it.

    Raises TrainingError when the run isn't done, or with the last lines of what failed.
    """
    command = [sys.executable, "-m", "securetag.training.merge", "--run", str(run_dir), "--out", str(out)]
    try:
        done = run_to_end(command, timeout_s=TIMEOUT_S)
    except TimeoutError as error:
        raise TrainingError(f"merging took longer than {TIMEOUT_S:g} s") from error
    if done.exit_code:
        raise TrainingError(f"the adapter in {run_dir} can't be merged: {done.stderr_tail}")
    # Half a gigabyte that `base.unpack_base` makes again when it is wanted.
    shutil.rmtree(run_dir / "base", ignore_errors=True)
    return out


def adapter_digest(run_dir: Path) -> str:
    """Return 64 hex digits over the adapter's weights, which hold no path and no time."""
    return hash_file(run_dir / "adapter" / "adapter_model.safetensors")


def recipe_of(run_dir: Path) -> Recipe:
    """Return a finished run's recipe, overrides included. Raises TrainingError unless it is done."""
    try:
        state = json.loads((run_dir / "run.json").read_bytes())
        if state["state"] != "done":
            raise TrainingError(f"the run in {run_dir} is {state['state']}, not done")
        return msgspec.convert(state["recipe"], Recipe)
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{run_dir} holds no training run") from error


def load_adapted(run_dir: Path) -> tuple[Recipe, PeftModel]:
    """Return a finished run's adapter on its base, on the CPU in the type of its weights, and the recipe.

    Raises TrainingError where the run isn't done, or its base isn't at hand.
    """
    from peft import PeftModel

    recipe = msgspec.structs.replace(recipe_of(run_dir), base_bits=16, device="cpu")
    recipe = base.unpack_base(recipe, run_dir)
    return recipe, PeftModel.from_pretrained(base.load_model(recipe), str(run_dir / "adapter"))


def _merge_here(run_dir: Path, out: Path) -> None:
    recipe, model = load_adapted(run_dir)
    merged = model.merge_and_unload(safe_merge=True)
    merged.save_pretrained(out)
    base.load_tokenizer(recipe).save_pretrained(out)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m securetag.training.merge", description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        _merge_here(given.run, given.out)
    except TrainingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
