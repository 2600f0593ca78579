"""One YAML = one training run. The 135M model on two cores and the 8B model on an H100 differ by YAML alone.

Knows no release and no torch: it says what a run is, and refuses what can't be one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from securetag.errors import SettingsError
from securetag.records import Task, content_id
from securetag.system.packaged import find_yaml, list_names
from securetag.triage import Profile

#: The recipes that come with the package; a name without a path means one of them.
RECIPES_DIR = Path(str(resources.files("securetag"))) / "recipes"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


class Lora(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The adapter: low-rank updates of linear layers (https://arxiv.org/abs/2106.09685)."""

    r: int = 16
    """Rank of the update."""

    alpha: int = 32
    """Scale: the update is multiplied by alpha / r. An integer, since Ollama takes no other."""

    dropout: float = 0.0
    """Share of the update's inputs that are dropped in training."""

    targets: Literal["all-linear"] | list[str] = "all-linear"
    """Modules that get an update, or all linear ones but the head."""

    last_layers: int | None = None
    """How many of the last layers are adapted; by default all. Nothing is propagated back into the others."""

    def __post_init__(self) -> None:
        _require(self.r >= 1 and self.alpha >= 1, "lora.r and lora.alpha must be at least 1")
        _require(0 <= self.dropout < 1, "lora.dropout must lie in [0, 1)")
        _require(self.last_layers is None or self.last_layers >= 1, "lora.last_layers must be at least 1")


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training run, but for its data."""

    name: str
    """What the run is called in reports."""

    base: str
    """`package:<package>/<file>.gguf` (found without import), a folder, or a Hugging Face id."""

    base_name: str
    """The base as its publisher calls it; its license may demand that a published name shows it."""

    licence: str
    """SPDX expression of the base's weights, and so of what is trained from them."""

    base_sha256: str | None = None
    """Of the base's file, where it is one file; a run on other bytes is refused."""

    base_hub: str | None = None
    """Hugging Face id of a base that is in a package or a folder; whoever loads the adapter needs it."""

    base_revision: str | None = None
    """Commit of a Hugging Face base; without it the newest is taken, and the run isn't repeatable."""

    attribution: str = ""
    """What a distributed model must show, for example "Built with Llama"."""

    profile: Profile = "compact"
    """Triage prompts of another profile are left out."""

    tasks: dict[Task, float] = {}
    """Share of the rows by task, summing to at most 1; empty: as the release has them."""

    max_rows: int | None = None
    """Most rows to train on; chosen by a hash of seed and pair, so that pairs stay together."""

    max_tokens: int = 512
    """Most tokens of prompt and completion; a longer row is left out, never cut."""

    epochs: float = 1.0
    """Passes over the rows."""

    batch: int = 16
    """Rows in one optimiser step of one device."""

    micro_batch: int | None = None
    """Rows in one forward pass, a divisor of `batch`; by default all of them."""

    forward_tokens: int | None = None
    """Most tokens, padding included, whose activations are kept at a time: a larger micro-batch is read in
    parts with the same loss and gradient. For `ranking` and `compute_savings`."""

    learning_rate: float = 1e-3
    """Peak, reached after the warm-up."""

    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """How the learning rate falls after the peak."""

    warmup: float = 0.03
    """Share of the steps in which the learning rate rises; from 1 on, their number."""

    objective: Literal["completion", "ranking"] = "completion"
    """`ranking` compares the verdicts of a forward pass with one another (`securetag.training.objective`);
    `completion` is the mean cross-entropy of an answer's tokens."""

    form_weight: float = 0.1
    """Weight of the cross-entropy of all completion tokens beside the verdict's loss, for `ranking`."""

    weight_decay: float = 0.0
    """AdamW's."""

    beta2: float = 0.999
    """AdamW's, of the squared gradients."""

    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""

    optimiser: Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit"] = "adamw_torch"
    """`adamw_8bit` needs bitsandbytes and a GPU."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where it trains."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of weights and arithmetic; bfloat16 is slower than float32 on a CPU without AMX."""

    matmul_precision: Literal["highest", "medium"] = "highest"
    """Of products of float32 matrices on a CPU: `medium` multiplies in bfloat16 and adds in float32 where the
    processor has AMX for it; elsewhere it changes nothing."""

    gpus: int = 1
    """GPUs of one machine, each with its own copy of the model (DDP); `batch` counts rows of one of them."""

    gpu_types: list[str] = []
    """RunPod's ids of GPUs that the recipe fits; the launcher `runpod` takes the cheapest in stock."""

    base_bits: Literal[16, 4] = 16
    """4: QLoRA, the frozen base in NF4 (https://arxiv.org/abs/2305.14314); needs a GPU."""

    gradient_checkpointing: bool = False
    """Trades a quarter of the speed for memory."""

    packing: bool = False
    """Fill sequences of `max_tokens` with whole rows (best fit), none of which sees another; `batch` and
    `micro_batch` then count sequences. Pays on a GPU, with flex_attention or flash_attention_2."""

    attention: Literal["sdpa", "flex_attention", "flash_attention_2"] = "sdpa"
    """transformers' `attn_implementation`; flash_attention_2 needs the package flash-attn."""

    liger: bool = False
    """Triton kernels of the package liger-kernel, which store no logits of a whole batch. Needs a GPU."""

    group_by_length: bool = True
    """Forward passes over rows of like length, so that little is padding, and over whole contrastive pairs,
    so that what their members share cancels out; in the same order in every epoch."""

    compute_savings: bool = False
    """Leave out arithmetic that changes nothing (`securetag.training.compute_savings`); pays on a CPU."""

    lora: Lora = Lora()
    """The adapter."""

    threads: int | None = None
    """CPU threads; by default the cores that the process may use."""

    seed: int = 0
    """Of everything random."""

    log_every: int = 1
    """Steps between two lines of progress."""

    save_every: int = 20
    """Steps between two checkpoints."""

    validation_rows: int = 64
    """Most rows of the validation split that are scored."""

    validate_every: int | None = None
    """Steps between two measurements of the verdicts' AUC on these rows, whose best adapter is the result; by
    default the last adapter is, and is measured at the end."""

    patience: int | None = None
    """Measurements without a better AUC after which the run ends; by default it goes on."""

    report_to: tuple[str, ...] = ("tensorboard",)
    """Who gets the figures, by transformers' names: tensorboard (files in the run's folder), mlflow, …"""

    def __post_init__(self) -> None:
        _require(
            bool(self.name) and bool(self.base) and bool(self.base_name),
            "name, base and base_name are needed",
        )
        _require(self.max_rows is None or self.max_rows >= 1, "max_rows must be at least 1")
        _require(16 <= self.max_tokens <= 32_768, "max_tokens must lie in 16..32768")
        _require(self.epochs > 0 and self.batch >= 1, "epochs and batch must be positive")
        _require(self.batch % self.rows_at_once == 0, "micro_batch must divide batch")
        _require(self.forward_tokens is None or self.forward_tokens >= 1, "forward_tokens must be at least 1")
        _require(0 < self.learning_rate < 1, "learning_rate must lie in (0, 1)")
        _require(
            0 <= self.warmup < 1 or self.warmup == int(self.warmup) >= 1,
            "warmup must lie in [0, 1) or be a number of steps",
        )
        _require(
            0 < self.beta2 < 1 and self.form_weight >= 0, "beta2 must lie in (0, 1), form_weight above 0"
        )
        _require(self.log_every >= 1 and self.save_every >= 1, "log_every and save_every must be at least 1")
        _require(all(share > 0 for share in self.tasks.values()), "shares of tasks must be positive")
        _require(sum(self.tasks.values()) <= 1.000_001, "shares of tasks must sum to at most 1")
        _require(
            (self.validate_every or 1) >= 1 and (self.patience or 1) >= 1,
            "validate_every and patience must be at least 1",
        )
        _require(self.patience is None or self.validate_every is not None, "patience needs validate_every")
        _require(self.gpus >= 1, "gpus must be at least 1")
        _require(self.device == "cuda" or self.base_bits == 16, "base_bits: 4 needs device: cuda")
        _require(self.device == "cuda" or self.optimiser != "adamw_8bit", "adamw_8bit needs device: cuda")
        _require(self.device == "cuda" or not self.liger, "liger needs device: cuda")
        _require(
            not (self.compute_savings and self.packing), "compute_savings and packing exclude each other"
        )
        _require(not self.base.startswith("package:") or "/" in self.base, "base: package:<package>/<file>")

    @property
    def rows_at_once(self) -> int:
        """Rows in one forward pass."""
        return self.micro_batch or self.batch

    @property
    def digest(self) -> str:
        """64 hex digits over every field."""
        return content_id(self)


def list_recipes() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return list_names(RECIPES_DIR)


def find_recipe(name: str) -> Path:
    """Return the YAML of a recipe, given as a path or by name. Raises SettingsError where neither is one."""
    return find_yaml("recipe", name, RECIPES_DIR)


def load(path: Path, overrides: Mapping[str, object] | None = None) -> Recipe:
    """Load a recipe from YAML, with some of its top-level fields replaced. Raises SettingsError."""
    try:
        fields = msgspec.yaml.decode(path.read_bytes())
        if not isinstance(fields, dict):
            raise msgspec.ValidationError("a recipe is a mapping")
        return msgspec.convert({**fields, **(overrides or {})}, Recipe)
    except FileNotFoundError as error:
        raise SettingsError(
            f"there is no recipe {path}", hint=f"The package has: {', '.join(list_recipes())}."
        ) from error
    except msgspec.DecodeError as error:
        raise SettingsError(f"{path}: {error}", hint=_suggest(str(error))) from error


def _suggest(error: str) -> str:
    """Return what to do about an error of msgspec's: the field that may be meant by an unknown one."""
    unknown = re.search(r"unknown field `(\w+)`(.*`\$\.lora`)?", error)
    kind = Lora if unknown and unknown[2] else Recipe
    names = [field.name for field in msgspec.structs.fields(kind)]
    meant = get_close_matches(unknown[1], names, n=1) if unknown else []
    suggestion = f"Did you mean {meant[0]}? " if meant else ""
    return f"{suggestion}Fields: securetag/training/recipe.py."
