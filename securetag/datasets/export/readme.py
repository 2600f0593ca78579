"""The words that go with exported rows: what the folder is."""

from __future__ import annotations

from collections.abc import Mapping

from securetag.datasets.export.base import Format
from securetag.datasets.releases.manifest import NAME_LENGTH, Manifest


def render_readme(
    manifest: Manifest, form: Format, rows: Mapping[str, int], left_out: Mapping[str, int]
) -> str:
    """What this folder is."""
    lines = [
        f"# Securetag {manifest.digest[:NAME_LENGTH]} as {form.name}",
        "",
        f"Rows of release `{manifest.digest}`, in the format described at {form.documented}.",
        *(["", form.note] if form.note else []),
        "",
        "| file | rows |",
        "| --- | ---: |",
        *(f"| {form.file(split)} | {n:,} |" for split, n in rows.items()),
        "",
    ]
    if left_out:
        lines += ["Left out, since the format can't hold them:", ""]
        lines += [f"- {reason}: {n:,}" for reason, n in left_out.items()] + [""]
    if "test" in rows:
        lines += [
            f"`{form.file('test')}` is for scoring: a model that was trained on it can't be measured.",
            "",
        ]
    lines += [
        "Licenses and whom to name: NOTICE. Each row's example, source and license: provenance.jsonl.",
        "",
    ]
    return "\n".join(lines)
