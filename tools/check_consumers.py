"""Export rows and have other trainers read them, each in an environment of its own (`make consumers`).

`python tools/check_consumers.py NAME PYTHON`: NAME is a key of FORMATS, PYTHON its interpreter.
Compares, row by row, what the trainer takes its loss over with the answers of the rows.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from securetag.datasets.export import export
from securetag.datasets.releases.release import write_release
from securetag.records import Example, Message, Task
from securetag.training import base
from securetag.training.recipe import RECIPES_DIR, load

#: Chats with what a template may lose: an empty system message, none, several turns, odd spaces.
CHATS: list[list[tuple[str, str]]] = [
    [("user", "Name a port of HTTPS."), ("assistant", "443")],
    [("system", ""), ("user", "CWE-89\n> db.execute(q)"), ("assistant", '{"verdict": "false_positive"}')],
    [("system", "Answer as JSON."), ("user", "x = 1\n"), ("assistant", '{"a": [1, 2]}')],
    [
        ("system", "Be brief."),
        ("user", "Why?  "),
        ("assistant", "A\nB — é"),
        ("user", "So?"),
        ("assistant", "C."),
    ],
]
#: Trainer → export formats that it reads.
FORMATS = {
    "axolotl": ["axolotl"],
    "llamafactory": ["llamafactory-alpaca", "llamafactory-sharegpt"],
}


def make_release(folder: Path) -> Path:
    """Write a release of CHATS; return its folder."""
    rows = [
        msgspec.structs.replace(
            Example.of(
                task=Task.QA,
                messages=[Message(role, text) for role, text in chat],  # type: ignore[arg-type]
                lang="en",
                licence="MIT",
                group=f"g{number}",
                origin="template",
                origins=[],
                source="s",
            ),
            split="train",
        )
        for number, chat in enumerate(CHATS)
    ]
    path, _ = write_release(
        rows,
        [],
        params={},
        inputs={},
        counts={},
        sources=[],
        card=lambda _: "",
        releases_dir=folder,
        code_version="1",
    )
    return path


def list_runs(row: dict[str, Any], tokenizer: Any) -> list[str]:
    """Return the texts of the runs of tokens that are trained. Raises ValueError for a foreign label."""
    runs: list[list[int]] = []
    before = -100
    for token, label in zip(row["input_ids"], row["labels"], strict=True):
        if label not in (-100, token):
            raise ValueError(f"label {label} for token {token}")
        if label != -100:
            if before == -100:
                runs.append([])
            runs[-1].append(label)
        before = label
    return [tokenizer.decode(run) for run in runs]


def check(name: str, python: str) -> list[str]:
    """Return what differs; empty where the loss is over the answers and the mark that ends them alone."""
    script = Path(__file__).parent / "consumers" / f"read_{name}.py"
    tokenizer = base.load_tokenizer(load(RECIPES_DIR / "securetag-embedded.yaml"))
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        release = make_release(folder / "releases")
        tokenizer.save_pretrained(folder / "tokenizer")
        expected = sorted(
            [f"{text}<|im_end|>" for role, text in chat if role == "assistant"] for chat in CHATS
        )
        for form in FORMATS[name]:
            export(release, form, folder / form)
            out = folder / f"{form}.json"
            command = [python, str(script), str(folder / form), str(folder / "tokenizer"), str(out)]
            subprocess.run(command, check=True, stdout=sys.stderr)
            rows = json.loads(out.read_text("utf-8"))
            trained = sorted([run.rstrip("\n") for run in list_runs(row, tokenizer)] for row in rows)
            if trained != expected:
                faults.append(f"{form}: trained on {trained}, not on {expected}")
            for row in rows:
                print(f"{form}: {tokenizer.decode(row['input_ids'])!r}")
    return faults


def main() -> None:
    """Check one trainer; the exit code is 1 where something differs."""
    faults = check(sys.argv[1], sys.argv[2])
    print("\n".join(faults) or f"{sys.argv[1]}: the loss is over the answers alone")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
