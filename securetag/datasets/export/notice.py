"""The words that go with exported rows: whose they are, under which terms, and how to read them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from securetag.datasets.export.base import Format
from securetag.datasets.releases.manifest import NAME_LENGTH, Manifest

_TERMS = re.compile(r"^## Terms\n(.*?)(?=^## |\Z)", re.M | re.S)


def render_notice(manifest: Manifest, card: str) -> str:
    """Licenses with their rows, every source, and the obligations that the release's card names."""
    lines = [f"Securetag release {manifest.digest}", "", "Licenses of the release's rows (SPDX):", ""]
    licences = manifest.counts.get("by_licence", {})
    lines += [f"  {rows:>9,}  {licence}" for licence, rows in sorted(licences.items())]
    lines += ["", "Sources, adapted:", ""]
    for source in manifest.sources:
        if source.rows:
            facts = [
                source.publisher,
                source.name,
                *source.editions,
                *source.licences,
                *filter(None, source.urls),
            ]
            lines.append(f"  {', '.join(facts)}")
    terms = _TERMS.search(card)
    if terms is not None:
        lines += ["", "Terms:", "", terms[1].strip()]
    lines += ["", "provenance.jsonl names source and license of each row.", ""]
    return "\n".join(lines)


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
