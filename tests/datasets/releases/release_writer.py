"""Writes a small release and may be killed on the way: `release_writer.py FOLDER ROWS STOP CONSENT`.

The STOP-th time that Python opens, renames, removes or changes the mode of a file inside FOLDER, the
kernel kills the process, so that no `finally` runs; 0 lets it finish and print name and steps. A
negative STOP tries every step up to it, each in a separate fork and folder.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import msgspec
import pyarrow.parquet  # noqa: F401 (paid before the steps are counted)

from securetag.datasets.releases import release
from securetag.records import Example, Message, Origin, Task

STEPS = frozenset({"open", "os.rename", "os.chmod", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"})


def example(number: int, consent: str) -> Example:
    example = Example.of(
        task=Task.QA,
        messages=[Message("user", f"q{number}"), Message("assistant", "a" * 200)],
        lang="en",
        licence="MIT",
        group=f"g{number}",
        origin="template",
        source="s",
        origins=[Origin(record_id=f"r{number}", consent_id=consent)],
    )
    return msgspec.structs.replace(example, split=("train", "validation", "test")[number % 3])


def write(folder: Path, examples: list[Example], stop: int) -> None:
    seen = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in STEPS and any(str(folder) in str(part) for part in arguments):
            seen += 1
            if seen == stop:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    path, _ = release.write_release(
        examples,
        [],
        params={"seed": 1},
        inputs={},
        counts={},
        sources=[],
        card=lambda _: "card\n",
        releases_dir=folder,
        code_version="1",
    )
    print(path.name, seen, flush=True)


def main() -> None:
    folder, rows, stop, consent = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    examples = [example(number, consent) for number in range(rows)]
    print("writing", flush=True)
    if stop >= 0:
        write(folder, examples, stop)
        return
    for step in range(1, 1 - stop):
        child = os.fork()
        if not child:
            write(folder / str(step), examples, step)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
