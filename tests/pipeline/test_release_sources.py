"""Which extracted Records a build takes when nobody names any."""

from __future__ import annotations

from typing import Any

import msgspec

from securetag.datasets.build import BuildInputs
from securetag.pipeline import release
from securetag.records import Record
from securetag.settings import get_settings


def test_instruction_data_of_others_must_be_named(monkeypatch: Any) -> None:
    settings = get_settings()
    settings.records_dir.mkdir(parents=True)
    for name, licence in (("hf-cti-bench", "CC-BY-NC-SA-4.0"), ("hf-safecoder", "MIT"), ("mine", "MIT")):
        record = Record.of(
            source=name,
            publisher="P",
            key="K",
            title="T",
            text="Text.",
            lang="en",
            url="https://e.org",
            edition="1",
            licence=licence,
            file_sha256="0" * 64,
            locator="",
        )
        (settings.records_dir / f"{name}.jsonl").write_bytes(msgspec.json.encode(record) + b"\n")
    asked: list[list[str]] = []

    def build(inputs: BuildInputs, *_: object) -> None:
        asked.append([record.source for record in inputs.records])
        raise InterruptedError

    monkeypatch.setattr(release, "build", build)
    for sources in (None, ["hf-safecoder"]):
        try:
            release.build_release(release.BuildParams(), settings, sources=sources)
        except InterruptedError:
            continue
    assert asked == [["mine"], ["hf-safecoder"]]
