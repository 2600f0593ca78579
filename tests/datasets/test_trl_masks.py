"""What TRL trains on of our exports, token by token: the answers with the mark that ends them alone."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from securetag.datasets.export import export
from securetag.records import JsonObject
from securetag.training import base
from securetag.training.recipe import RECIPES_DIR, load

pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore")]

#: The tool that has other trainers read the same chats.
TOOL = Path(__file__).resolve().parents[2] / "tools" / "check_consumers.py"
Prepare = Callable[..., tuple[Any, list[tuple[list[int], list[int]]]]]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_consumers", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tool: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of the chats."""
    path: Path = tool.make_release(tmp_path_factory.mktemp("releases"))
    return path


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Prepare:
    """Rows → the tokenizer, and the (tokens, labels) of each row as TRL's trainer batches them."""
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import SFTConfig, SFTTrainer

    # SmolLM2's, which reads ChatML.
    tokenizer = base.load_tokenizer(load(RECIPES_DIR / "securetag-embedded.yaml"))
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape))

    def run(rows: list[JsonObject], **options: Any) -> tuple[Any, list[tuple[list[int], list[int]]]]:
        config = SFTConfig(
            output_dir=str(tmp_path_factory.mktemp("trl")),
            report_to=[],
            use_cpu=True,
            max_length=None,
            **options,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = SFTTrainer(
                model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
            )
        pairs = []
        for row in trainer.train_dataset:
            batch = trainer.data_collator([row])
            pairs.append((batch["input_ids"][0].tolist(), batch["labels"][0].tolist()))
        return tokenizer, pairs

    return run


def trained(tool: ModuleType, tokenizer: Any, pair: tuple[list[int], list[int]]) -> list[str]:
    """Return the texts of the runs of tokens that are trained."""
    runs: list[str] = tool.list_runs(dict(zip(("input_ids", "labels"), pair, strict=True)), tokenizer)
    return runs


def read_rows(folder: Path) -> list[JsonObject]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


def answers_of(row: JsonObject) -> list[str]:
    return [part["content"] for part in row["messages"] if part["role"] == "assistant"]


def test_messages_with_the_template_train_the_answers_alone(
    folder: Path, prepare: Prepare, tmp_path: Path, tool: ModuleType
) -> None:
    export(folder, "trl-messages", tmp_path / "out")
    rows = read_rows(tmp_path / "out")
    template = str(tmp_path / "out" / "chat_template.jinja")
    tokenizer, pairs = prepare(rows, assistant_only_loss=True, chat_template_path=template)
    assert len(pairs) == len(rows) == len(tool.CHATS)
    for row, pair in zip(rows, pairs, strict=True):
        assert trained(tool, tokenizer, pair) == [f"{answer}<|im_end|>" for answer in answers_of(row)]
        chat = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in row["messages"])
        assert tokenizer.decode(pair[0]) == chat


def test_messages_without_it_train_the_prompt_too(folder: Path, prepare: Prepare, tmp_path: Path) -> None:
    """What the export's README warns of is so: every token is trained."""
    export(folder, "trl-messages", tmp_path / "out")
    _, pairs = prepare(read_rows(tmp_path / "out"))
    assert all(labels == tokens for tokens, labels in pairs)
    assert "assistant_only_loss=True" in (tmp_path / "out" / "README.md").read_text()


def test_of_prompt_and_completion_the_completion_alone_is_trained(
    folder: Path, prepare: Prepare, tmp_path: Path, tool: ModuleType
) -> None:
    export(folder, "trl-prompt-completion", tmp_path / "out")
    rows = read_rows(tmp_path / "out")
    tokenizer, pairs = prepare(rows)
    for row, pair in zip(rows, pairs, strict=True):
        (text,) = trained(tool, tokenizer, pair)
        assert text.removesuffix("\n") == f"{row['completion'][0]['content']}<|im_end|>"
