"""Small models of random weights in the shapes of published ones, each with a tokenizer made for the test.

The chat formats are those that the publishers describe; the templates are written for these tests:
https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1/ and
https://qwen.readthedocs.io/en/latest/getting_started/concepts.html and
https://docs.mistral.ai/cookbooks/concept-deep-dive-tokenization-chat_templates
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from securetag.serving.converter import PATTERNS

if TYPE_CHECKING:
    from transformers import PretrainedConfig

LLAMA_SPECIAL = [
    *("<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|start_header_id|>"),
    *("<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"),
    *(f"<|reserved_special_token_{number}|>" for number in range(248)),
]
#: Each turn's text is trimmed, and the first header is the system's, with two dates.
LLAMA_TEMPLATE = (
    "{%- set day = date_string if date_string is defined else '26 Jul 2024' %}"
    "{%- set has_system = messages[0]['role'] == 'system' %}"
    "{{- bos_token }}{{- '<|start_header_id|>system<|end_header_id|>\n\n' }}"
    "{{- 'Cutting Knowledge Date: December 2023\n' }}{{- 'Today Date: ' + day + '\n\n' }}"
    "{%- if has_system %}{{- messages[0]['content'] | trim }}{%- endif %}{{- '<|eot_id|>' }}"
    "{%- for message in messages %}{%- if not (has_system and loop.first) %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{- message['content'] | trim }}{{- '<|eot_id|>' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
QWEN_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN_TEMPLATE = (
    "{%- if messages[0]['role'] != 'system' %}"
    "{{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
MISTRAL_SPECIAL = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<pad>"]
#: There is no turn of the system: its text precedes that of the last question.
MISTRAL_TEMPLATE = (
    "{%- set has_system = messages[0]['role'] == 'system' %}"
    "{%- set system = messages[0]['content'] if has_system else '' %}"
    "{%- set turns = messages[1:] if has_system else messages %}"
    "{%- set last = (turns | selectattr('role', 'equalto', 'user') | list)[-1] %}{{- bos_token }}"
    "{%- for message in turns %}{%- if message['role'] == 'user' %}{{- '[INST]' }}"
    "{%- if system and message == last %}{{- system + '\n\n' }}{%- endif %}"
    "{{- message['content'] + '[/INST]' }}"
    "{%- else %}{{- message['content'] + eos_token }}{%- endif %}{%- endfor %}"
)


def build_llama31(folder: Path, texts: Iterable[str]) -> Path:
    """Write a Llama 3.1 of 3 million parameters, with its RoPE scaling and its special tokens."""
    from transformers import LlamaConfig

    def configure(common: dict[str, Any]) -> PretrainedConfig:
        rope = {
            "rope_type": "llama3",
            "rope_theta": 500_000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
        config: PretrainedConfig = LlamaConfig(
            **common, rope_parameters=rope, max_position_embeddings=131_072, rms_norm_eps=1e-5
        )
        return config

    names = {
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "pad_token": "<|finetune_right_pad_id|>",
    }
    return _build(folder, texts, "llama-bpe", LLAMA_SPECIAL, names, LLAMA_TEMPLATE, configure)


def build_qwen2(folder: Path, texts: Iterable[str]) -> Path:
    """Write a Qwen 2 of 3 million parameters: biases in attention, each digit a token, ChatML."""
    from transformers import Qwen2Config

    def configure(common: dict[str, Any]) -> PretrainedConfig:
        rope = {"rope_type": "default", "rope_theta": 1_000_000.0}
        config: PretrainedConfig = Qwen2Config(
            **common, rope_parameters=rope, max_position_embeddings=32_768, rms_norm_eps=1e-6
        )
        return config

    names = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return _build(folder, texts, "qwen2", QWEN_SPECIAL, names, QWEN_TEMPLATE, configure)


def build_mistral(folder: Path, texts: Iterable[str]) -> Path:
    """Write a Mistral of 4 million parameters: heads of a width of their own, turns in brackets."""
    from transformers import MistralConfig

    def configure(common: dict[str, Any]) -> PretrainedConfig:
        rope = {"rope_type": "default", "rope_theta": 1_000_000.0}
        config: PretrainedConfig = MistralConfig(
            **common,
            head_dim=64,
            sliding_window=None,
            rope_parameters=rope,
            max_position_embeddings=32_768,
            rms_norm_eps=1e-5,
        )
        return config

    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return _build(folder, texts, "tekken", MISTRAL_SPECIAL, names, MISTRAL_TEMPLATE, configure)


def _build(
    folder: Path,
    texts: Iterable[str],
    pre_tokenizer: str,
    special: list[str],
    names: dict[str, str],
    template: str,
    configure: Callable[[dict[str, Any]], PretrainedConfig],
) -> Path:
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = _make_tokenizer(texts, pre_tokenizer, special, names)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    common = {
        "vocab_size": len(tokenizer),
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.08,  # a frozen random head must tell tokens apart
    }
    AutoModelForCausalLM.from_config(configure(common)).save_pretrained(folder)
    return folder


def _make_tokenizer(
    texts: Iterable[str], pre_tokenizer: str, special: list[str], names: dict[str, str]
) -> Any:
    """Train a byte-level BPE of at most 700 words with the published split; special tokens come last."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    pattern = next(pattern for pattern, name in PATTERNS.items() if name == pre_tokenizer)
    words = Tokenizer(models.BPE(ignore_merges=pre_tokenizer != "qwen2"))
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    words.train_from_iterator(texts, trainer)
    words.add_special_tokens(special)
    return PreTrainedTokenizerFast(tokenizer_object=words, **names)
