"""What a run's adapter, and the model merged from it, make of the token that begins a verdict.

A process of its own, whose memory goes with it: `python -m securetag.training.parity --help`. For each row it
reads the prompt and the beginning of an answer, and writes the likeliest next tokens with their
log-probabilities, first of the adapter on its base, then of the merged model, as `merge` makes it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from securetag.calibration import TOP_LOGPROBS
from securetag.errors import TrainingError
from securetag.records import Message
from securetag.system.files import write_atomic
from securetag.system.processes import run_to_end
from securetag.training import base, rows
from securetag.training.merge import load_adapted

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

#: Seconds for all rows; 200 of 110 tokens take a 135M model 2 minutes on one core.
TIMEOUT_S = 3 * 3600.0


class Question(msgspec.Struct, frozen=True):
    """A prompt, and the tokens of an answer up to where its verdict begins, each as text."""

    messages: list[Message]
    written: list[str]


#: The likeliest tokens, each with its log-probability.
Likeliest = list[tuple[str, float]]


class Answers(msgspec.Struct, frozen=True):
    """What each question's next token may be, in the questions' order."""

    adapter: list[Likeliest]
    merged: list[Likeliest]


def score(run_dir: Path, questions: Sequence[Question], folder: Path) -> Answers:
    """Ask a finished run's adapter and the merged model, in a process; `folder` gets its files.

    Raises TrainingError with the last lines of what failed.
    """
    question_file, answer_file = folder / "questions.json", folder / "answers.json"
    write_atomic(question_file, msgspec.json.encode(list(questions)))
    command = [sys.executable, "-m", "securetag.training.parity", "--run", str(run_dir)]
    command += ["--questions", str(question_file), "--out", str(answer_file)]
    try:
        done = run_to_end(command, timeout_s=TIMEOUT_S)
    except TimeoutError as error:
        raise TrainingError(f"comparing adapter and merged model took longer than {TIMEOUT_S:g} s") from error
    finally:
        shutil.rmtree(run_dir / "base", ignore_errors=True)  # as after merging
    if done.exit_code:
        raise TrainingError(f"the adapter in {run_dir} can't be asked: {done.stderr_tail}")
    return msgspec.json.decode(answer_file.read_bytes(), type=Answers)


def _find_likeliest(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question]
) -> list[Likeliest]:
    import torch

    model.eval()
    device = next(model.parameters()).device
    answers: list[Likeliest] = []
    with torch.no_grad():
        for question in questions:
            ids = rows.encode_prompt(tokenizer, question.messages)
            # One by one: a model may spell the beginning in other tokens than its tokenizer would.
            for token in question.written:
                ids = ids + tokenizer(token, add_special_tokens=False)["input_ids"]
            logits = model(input_ids=torch.tensor([ids], device=device), logits_to_keep=1).logits[0, -1]
            top = torch.log_softmax(logits.float(), dim=-1).topk(TOP_LOGPROBS)
            tokens = [str(tokenizer.decode([token])) for token in top.indices.tolist()]
            answers.append(list(zip(tokens, top.values.tolist(), strict=True)))
    return answers


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m securetag.training.parity", description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    import torch

    questions = msgspec.json.decode(given.questions.read_bytes(), type=list[Question])
    try:
        recipe, model = load_adapted(given.run)
        tokenizer = base.load_tokenizer(recipe)
        if torch.cuda.is_available():
            model = model.to("cuda")
        adapter = _find_likeliest(model, tokenizer, questions)
        merged = _find_likeliest(model.merge_and_unload(safe_merge=True), tokenizer, questions)
    except TrainingError as error:
        sys.exit(str(error))
    write_atomic(given.out, msgspec.json.encode(Answers(adapter, merged)))


if __name__ == "__main__":
    main()
