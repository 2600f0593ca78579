"""Exports in the hands of those who read them: `datasets`, TRL's SFTTrainer and KTOTrainer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from securetag.datasets.export import FORMATS, export
from securetag.datasets.releases.manifest import SPLITS
from securetag.records import Decision, Example, JsonObject
from tests.plugins.small_release import write_small

if TYPE_CHECKING:
    from datasets import DatasetDict

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, make_example: Callable[..., Example]) -> Path:
    """A release of triage rows; of the last six an analyst said what they are, the model mostly the same."""
    rows: list[Example] = [
        msgspec.structs.replace(make_example(n), split="train" if n < 26 else "validation") for n in range(30)
    ]
    for n in range(20, 26):
        said = Decision.TRUE_POSITIVE if n < 24 else Decision.NEEDS_REVIEW
        rows[n] = msgspec.structs.replace(rows[n], label_source="analyst", model_decision=said)
    path, _ = write_small(tmp_path_factory.mktemp("releases"), rows)
    return path


def load_export(folder: Path, name: str) -> DatasetDict:
    from datasets import load_dataset

    files = {
        split: str(folder / FORMATS.get(name).file(split))
        for split in SPLITS
        if (folder / FORMATS.get(name).file(split)).exists()
    }
    return load_dataset("json", data_files=files, cache_dir=str(folder.parent / "cache"))


def one_step(folder: Path, *, rows: int) -> JsonObject:
    """Return the arguments of a training of one step over so many rows, on the CPU."""
    return {
        "output_dir": str(folder),
        "max_steps": 1,
        "per_device_train_batch_size": rows,
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "save_strategy": "no",
        "disable_tqdm": True,
    }


@pytest.mark.system
@pytest.mark.parametrize("name", FORMATS.names())
def test_datasets_loads_every_export(source: Path, tmp_path: Path, name: str) -> None:
    done = export(source, name, tmp_path / "out")
    splits = load_export(tmp_path / "out", name)
    assert {split: len(rows) for split, rows in splits.items()} == done.rows


@pytest.mark.system
@pytest.mark.parametrize("name", ["trl-messages", "trl-prompt-completion"])
def test_trls_sft_trainer_prepares_it(source: Path, tmp_path: Path, tiny: Path, name: str) -> None:
    """Its own preparation, chat template and masks; then one step, whose loss is a number."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    done = export(source, name, tmp_path / "out")
    splits = load_export(tmp_path / "out", name)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny),
        args=SFTConfig(
            **one_step(tmp_path / "run", rows=2),
            max_length=None,
        ),
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        processing_class=tokenizer,
    )
    assert len(trainer.train_dataset) == done.rows["train"]
    row = trainer.train_dataset[0]
    answer = json.loads((tmp_path / "out" / "train.jsonl").read_text().splitlines()[0])
    said = (answer.get("completion") or answer["messages"])[-1]["content"]
    assert said in tokenizer.decode(row["input_ids"])
    if name == "trl-prompt-completion":
        trained = [t for t, label in zip(row["input_ids"], row["labels"], strict=True) if label != -100]
        assert tokenizer.decode(trained).startswith(said)  # the loss is over the answer alone
    assert trainer.train().training_loss > 0


@pytest.mark.system
def test_trls_kto_trainer_prepares_it(source: Path, tmp_path: Path, tiny: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import KTOConfig, KTOTrainer

    done = export(source, "kto", tmp_path / "out")
    rows = load_export(tmp_path / "out", "kto")["train"]
    # Six feedbacks; of the four that the model answered, two were wrong: it said true, they were guarded.
    assert (done.rows, sum(rows["label"])) == ({"train": 8}, 6)
    trainer = KTOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny),
        args=KTOConfig(
            **one_step(tmp_path / "run", rows=4),
        ),
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(tiny),
    )
    assert len(trainer.train_dataset) == 8
    assert {bool(label) for label in trainer.train_dataset["label"]} == {True, False}
