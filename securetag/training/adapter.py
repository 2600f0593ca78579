"""The adapter's folder: weights, PEFT's configuration and a model card, with no path of this machine.

PEFT writes the folder that the base was loaded from into the configuration, and a template as the card.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from securetag.records import JsonObject
from securetag.training.base import find_hub_id
from securetag.training.recipe import Recipe

if TYPE_CHECKING:
    from peft import PeftModel

#: SPDX expression → what Hugging Face's cards call it; all else is `other` with a name.
HUB_LICENCES = {"Apache-2.0": "apache-2.0", "MIT": "mit", "LicenseRef-Llama-3.1-Community": "llama3.1"}


def save(model: PeftModel, recipe: Recipe, state: JsonObject, metrics: JsonObject, folder: Path) -> None:
    """Write a trained PEFT model to `folder`, so that PEFT can load it on any machine.

    `state` is the run's (run.json), `metrics` what it measured.
    """
    hub_id, revision = find_hub_id(recipe)
    for config in model.peft_config.values():
        config.base_model_name_or_path, config.revision = hub_id, revision
    # "auto" would ask the hub for the base's vocabulary; no token is ever added to it.
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").write_text(write_card(recipe, state, metrics), encoding="utf-8")


def write_card(recipe: Recipe, state: JsonObject, metrics: JsonObject) -> str:
    """Return the model card of an adapter (https://huggingface.co/docs/hub/model-cards)."""
    hub_id, revision = find_hub_id(recipe)
    lines = [
        _header(recipe, hub_id),
        f"# {recipe.name}: LoRA adapter of {recipe.base_name}",
        "",
        *([f"{recipe.attribution}.", ""] if recipe.attribution else []),
        "Judges findings of static analysers (true or false positive, with the lines that show it) and",
        "answers questions of application security. It was trained on the prompts that Securetag renders "
        f"(profile `{recipe.profile}`), and on no others.",
        "",
        "## Use",
        "",
        "```python",
        "from peft import AutoPeftModelForCausalLM, PeftModel",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'model = AutoPeftModelForCausalLM.from_pretrained("path/of/this/folder")',
        "# or, with the base in a folder:",
        'base = AutoModelForCausalLM.from_pretrained("path/of/the/base")',
        'model = PeftModel.from_pretrained(base, "path/of/this/folder")',
        f'tokenizer = AutoTokenizer.from_pretrained("{hub_id}")',
        "```",
        "",
        "## Training",
        "",
        *_table(_training(recipe, hub_id, revision, state, metrics)),
        "## Figures",
        "",
        *_table(_figures(metrics)),
        "They come from validation rows that were made like the training rows, and do not tell how the",
        "model does on other code. `securetag evaluate` compares it with its base on held-out rows, and a",
        "gate decides whether it may be published.",
        "",
        "## Terms",
        "",
        f"The base's weights: {recipe.licence}. The terms of the training rows, and whom to name, are in",
        f"the card of release `{state['release_digest'][:12]}`.",
        "",
    ]
    return "\n".join(lines)


def _header(recipe: Recipe, hub_id: str) -> str:
    licence = HUB_LICENCES.get(recipe.licence, "other")
    fields = {
        "base_model": hub_id,
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "license": licence,
        **({"license_name": recipe.licence} if licence == "other" else {}),
        "tags": ["lora", "security", "static-analysis", "triage"],
    }
    return "---\n" + yaml.safe_dump(fields, sort_keys=False, allow_unicode=True) + "---\n"


def _training(
    recipe: Recipe,
    hub_id: str,
    revision: str | None,
    state: JsonObject,
    metrics: JsonObject,
) -> dict[str, object]:
    lora = recipe.lora
    return {
        "base": f"`{hub_id}`" + (f" at `{revision}`" if revision else ""),
        **({"base's file, dequantised; sha256": f"`{recipe.base_sha256}`"} if recipe.base_sha256 else {}),
        "release": f"`{state['release_digest']}`",
        "rows": f"{state['rows']:,}",
        "rows by task": _counts(state["by_task"]),
        "rows by label": _counts(state["by_label"]),
        "tokens": f"{state['tokens']:,}",
        "epochs, steps": f"{recipe.epochs:g}, {metrics['steps']:,}",
        "rank, alpha": f"{lora.r}, {lora.alpha}",
        "adapted modules": lora.targets if isinstance(lora.targets, str) else ", ".join(lora.targets),
        **({"adapted layers": f"the last {lora.last_layers}"} if lora.last_layers else {}),
        "learning rate, batch": f"{recipe.learning_rate:g}, {recipe.batch}",
        "type of the weights": recipe.dtype,
        "seed": recipe.seed,
        "versions": ", ".join(f"{name} {version}" for name, version in state["versions"].items()),
    }


def _figures(metrics: JsonObject) -> dict[str, object]:
    verdicts = metrics.get("validation_verdicts_right")
    return {
        "loss in training": _number(metrics["train_loss"]),
        **{f"validation loss, {task}": _number(loss) for task, loss in metrics["validation_loss"].items()},
        "validation verdicts that are right": "not measured" if verdicts is None else f"{verdicts:.1%}",
    }


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))


def _table(cells: Mapping[str, object]) -> list[str]:
    return ["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in cells.items()), ""]
