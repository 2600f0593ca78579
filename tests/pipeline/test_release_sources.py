"""Which extracted Records a build reads by default."""

from __future__ import annotations

import msgspec
import pytest

from securetag.datasets.build import BuildInputs
from securetag.pipeline import release
from securetag.records import Record
from securetag.settings import get_settings


def test_third_party_instruction_data_is_read_only_if_named(monkeypatch: pytest.MonkeyPatch) -> None:
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
    built_sources: list[list[str]] = []

    def build(inputs: BuildInputs, *_: object) -> None:
        built_sources.append([record.source for record in inputs.records])
        raise InterruptedError

    monkeypatch.setattr(release, "build", build)
    for sources in (None, ["hf-safecoder"]):
        try:
            release.build_release(release.BuildParams(), settings, sources=sources)
        except InterruptedError:
            continue
    assert built_sources == [["mine"], ["hf-safecoder"]]
