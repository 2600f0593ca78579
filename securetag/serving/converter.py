"""llama.cpp's converter, which also takes a vocabulary that it doesn't list.

The converter recognizes a BPE pre-tokenizer by a hash over what a vocabulary makes of one text, so that it
refuses each vocabulary that it wasn't told of. What a pre-tokenizer is stands in `tokenizer.json`: the
pattern that splits a text. Where the hash is unknown, the pattern decides.

Started by `securetag.serving.gguf.convert` as `python -m securetag.serving.converter SCRIPT ARGUMENTS`.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from securetag.records import JsonObject

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    #: A method of the converter's models: tokenizer → name of the pre-tokenizer.
    Recognize = Callable[[object, PreTrainedTokenizerFast], str]

#: The split of Llama 3 but for its numbers, of at most three digits; Qwen 2 takes each digit alone.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: The split of Mistral's Tekken: capitals before small letters, and each digit alone.
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: Pattern of `tokenizer.json` → llama.cpp's name of the pre-tokenizer that splits by it.
PATTERNS = {
    _WORDS.format(digits=r"\p{N}{1,3}"): "llama-bpe",
    _WORDS.format(digits=r"\p{N}"): "qwen2",
    _TEKKEN: "tekken",
}


def find_pre_tokenizer(tokenizer: JsonObject) -> str | None:
    """Return llama.cpp's name of the pre-tokenizer in a `tokenizer.json`; None for one that isn't known."""
    steps = (tokenizer.get("pre_tokenizer") or {}).get("pretokenizers") or [tokenizer.get("pre_tokenizer")]
    match [(step or {}).get("type") for step in steps]:
        case ["Split", "ByteLevel"]:
            return PATTERNS.get(steps[0]["pattern"].get("Regex", ""))
        case ["Digits", "ByteLevel"] if steps[0]["individual_digits"] and steps[1]["use_regex"]:
            return "smollm"
        case ["ByteLevel"] if steps[0]["use_regex"]:
            return "gpt-2"
    return None


def _decide_by_pattern(by_hash: Recognize) -> Recognize:
    def decide(model: object, tokenizer: PreTrainedTokenizerFast) -> str:
        try:
            return by_hash(model, tokenizer)
        except NotImplementedError:
            name = find_pre_tokenizer(json.loads(tokenizer.backend_tokenizer.to_str()))
            if name is None:
                raise
            return name

    return decide


def main() -> None:
    """Run the converter's script, the first argument, with the others."""
    script = Path(sys.argv[1])
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(script.parent))
    namespace = runpy.run_path(str(script))
    text_model = sys.modules["conversion.base"].TextModel
    text_model.get_vocab_base_pre = _decide_by_pattern(text_model.get_vocab_base_pre)
    namespace["main"]()


if __name__ == "__main__":
    main()
