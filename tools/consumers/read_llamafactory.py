"""Run in LLaMA-Factory's own environment: the train rows of an export as its dataset loader prepares them.

`python read_llamafactory.py EXPORT TOKENIZER OUT` writes a JSON list of {"input_ids": …, "labels": …} to OUT.
Of LLaMA-Factory only the loader runs: it refuses the transformers of this project at its start, and it
imports torchaudio for sound, whose compiled part doesn't load beside torch 2.13. No row has sound.
"""

import json
import os
import sys
import types


def main() -> None:
    """Load every dataset that the export's dataset_info.json names and that isn't held out."""
    os.environ["DISABLE_VERSION_CHECK"] = "1"
    import transformers  # noqa: F401  # it must find torchaudio missing

    sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments, ModelArguments
    from transformers import AutoTokenizer, Seq2SeqTrainingArguments

    export, tokenizer_folder, out = map(os.path.abspath, sys.argv[1:4])
    with open(os.path.join(export, "dataset_info.json"), encoding="utf-8") as file:
        names = [name for name in json.load(file) if "train" in name]
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    data_args = DataArguments(
        dataset=",".join(names),
        dataset_dir=export,
        template="chatml",
        cutoff_len=4_096,
        overwrite_cache=True,
    )
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    module = get_dataset(
        template,
        ModelArguments(model_name_or_path=tokenizer_folder),
        data_args,
        Seq2SeqTrainingArguments(output_dir=out + ".run", use_cpu=True),
        stage="sft",
        tokenizer=tokenizer,
    )
    rows = [
        {"input_ids": list(row["input_ids"]), "labels": list(row["labels"])}
        for row in module["train_dataset"]
    ]
    with open(out, "w", encoding="utf-8") as file:
        json.dump(rows, file)


if __name__ == "__main__":
    main()
