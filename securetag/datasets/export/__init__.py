"""A release as the files that a trainer reads, with licenses and provenance beside them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TypeGuard

import msgspec

from securetag.datasets.export.base import Format, Row, Unfit
from securetag.datasets.export.readme import render_readme
from securetag.datasets.releases.manifest import SPLITS
from securetag.datasets.releases.notice import NOTICE, render_notice
from securetag.datasets.releases.release import read_release
from securetag.errors import ConflictError, ReleaseError
from securetag.records import Example
from securetag.system.files import draft_folder
from securetag.system.registry import Registry


def _is_format(implementation: object) -> TypeGuard[Format]:
    return isinstance(implementation, Format)


#: Formats by name. Other packages add theirs by entry points of the group `securetag.exports`, each of which
#: names a `Format` (docs/howto/add-an-export-format.md).
FORMATS: Registry[Format] = Registry(
    "export format",
    {
        "trl-messages": "securetag.datasets.export.trl:MESSAGES",
        "trl-prompt-completion": "securetag.datasets.export.trl:PROMPT_COMPLETION",
        "axolotl": "securetag.datasets.export.axolotl:AXOLOTL",
        "llamafactory-alpaca": "securetag.datasets.export.llamafactory:ALPACA",
        "llamafactory-sharegpt": "securetag.datasets.export.llamafactory:SHAREGPT",
        "openai": "securetag.datasets.export.openai:OPENAI",
        "alpaca": "securetag.datasets.export.alpaca:ALPACA",
        "kto": "securetag.datasets.export.kto:KTO",
    },
    group="securetag.exports",
    accepts=_is_format,
)

#: Ends an export's NOTICE: its rows have no column of their own for that.
PROVENANCE_NOTE = "provenance.jsonl names source and license of each row."


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export wrote; also its `export.json`."""

    format: str
    documented: str
    #: Digest of the release.
    release: str
    #: Split → rows.
    rows: dict[str, int]
    #: Reason → examples that the format can't hold.
    left_out: dict[str, int]


def export(release: Path, name: str, out: Path) -> Exported:
    """Write a release to a new folder, in one of FORMATS. The same release gives the same bytes.

    Raises InputError for an unknown format, ConflictError where `out` isn't free, ReleaseError for a
    broken release or one of which the format can hold nothing.
    """
    form = FORMATS.get(name)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise _taken(out)
    source = read_release(release)
    left_out: Counter[str] = Counter()
    rows: dict[str, int] = {}
    with draft_folder(out.absolute().parent) as draft:
        folder = draft.path
        provenance: list[Row] = []
        for split in SPLITS:
            examples: list[Example] = getattr(source, split)
            made, metadata = _rows(examples, form, split, left_out)
            if made:
                (folder / form.file(split)).write_bytes(_encoded(made, form))
                rows[split] = len(made)
                provenance += metadata
        if not rows:
            reason, _ = left_out.most_common(1)[0] if left_out else ("the release is empty", 0)
            raise ReleaseError(f"nothing of {release.name} can be exported as {name}: {reason}")
        exported = Exported(
            format=name,
            documented=form.documented,
            release=source.manifest.digest,
            rows=rows,
            left_out=dict(sorted(left_out.items())),
        )
        (folder / "provenance.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(provenance))
        beside = {
            **form.beside(source.manifest, list(rows)),
            NOTICE: f"{render_notice(source.manifest)}\n{PROVENANCE_NOTE}\n",
            "README.md": render_readme(source.manifest, form, rows, exported.left_out),
            "export.json": json.dumps(msgspec.to_builtins(exported), indent=2) + "\n",
        }
        for file, text in beside.items():
            (folder / file).write_text(text, encoding="utf-8")
        if not draft.commit(out.absolute(), read_only=True):
            raise _taken(out)
    return exported


def _rows(
    examples: list[Example], form: Format, split: str, left_out: Counter[str]
) -> tuple[list[Row], list[Row]]:
    """A split's rows, and where each comes from; counts what the format can't hold."""
    made: list[Row] = []
    provenance: list[Row] = []
    for example in examples:
        try:
            exported = form.rows(example)
        except Unfit as unfit:
            left_out[str(unfit)] += 1
            continue
        for row in exported:
            provenance.append(
                {
                    "file": form.file(split),
                    "row": len(made),
                    "example_id": example.id,
                    "source": example.source,
                    "licence": example.licence,
                }
            )
            made.append(row)
    return made, provenance


def _encoded(rows: list[Row], form: Format) -> bytes:
    if form.array:
        return b"[\n" + b",\n".join(msgspec.json.encode(row) for row in rows) + b"\n]\n"
    return msgspec.json.Encoder().encode_lines(rows)


def _taken(out: Path) -> ConflictError:
    return ConflictError(f"{out} is not free", hint="Name a folder that doesn't exist yet.")
