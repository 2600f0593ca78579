"""Run in Axolotl's own environment: the train rows of an export as Axolotl's dataset loader prepares them.

`python read_axolotl.py EXPORT TOKENIZER OUT` writes a JSON list of {"input_ids": …, "labels": …} to OUT.
"""

import json
import os
import sys
import tempfile


def main() -> None:
    """Load with the export's own axolotl.yaml, whose paths count from its folder."""
    import yaml
    from axolotl.utils.data import prepare_datasets
    from axolotl.utils.dict import DictDefault
    from transformers import AutoTokenizer

    export, tokenizer_folder, out = map(os.path.abspath, sys.argv[1:4])
    os.chdir(export)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    with open("axolotl.yaml", encoding="utf-8") as file:
        config = yaml.safe_load(file)
    with tempfile.TemporaryDirectory() as prepared:
        cfg = DictDefault(
            {
                **config,
                "base_model": tokenizer_folder,
                "tokenizer_config": tokenizer_folder,
                "sequence_len": 4_096,
                "micro_batch_size": 1,
                "gradient_accumulation_steps": 1,
                "num_epochs": 1,
                "world_size": 1,
                "dataset_prepared_path": prepared,
                "dataset_num_proc": 1,
                "dataset_processes": 1,
                "seed": 0,
                "shuffle_merged_datasets": False,
                "train_on_inputs": False,
                "val_set_size": 0.0,
                "batch_size": 1,
            }
        )
        train = prepare_datasets(cfg, tokenizer)[0]
        rows = [{"input_ids": list(row["input_ids"]), "labels": list(row["labels"])} for row in train]
    with open(out, "w", encoding="utf-8") as file:
        json.dump(rows, file)


if __name__ == "__main__":
    main()
