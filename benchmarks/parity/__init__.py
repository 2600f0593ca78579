"""How far each kind of quantization moves a trained model's verdicts from those of its adapter.

    PARITY_RUN=RUN PARITY_RELEASE=RELEASE python -m benchmarks parity

RUN is the folder of a finished training run, RELEASE that of the release whose held-out rows are asked. The
comparison is the one of a publication (`securetag.pipeline.parity`), of a model without calibration: a
verdict is another one where the score changes its sign. `PARITY_KINDS` names other kinds (F16).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import get_args

from benchmarks.figure import Figure
from securetag.pipeline.parity import choose_rows, compare_rows
from securetag.serving import gguf
from securetag.serving.registry import ModelEntry, Parity, Registry
from securetag.settings import Settings, get_settings
from securetag.system.hashing import hash_file
from securetag.training.merge import adapter_digest, merge, recipe_of

KINDS = os.environ.get("PARITY_KINDS", "Q8_0,Q4_K_M").split(",")
ROWS = 200
MAX_FLIPS = 0.01


def measure() -> Iterator[Figure]:
    """Yield flips and the largest shift of each kind.

    Raises LookupError without a run, or a release with enough held-out rows of this version's prompts.
    """
    names = ("PARITY_RUN", "PARITY_RELEASE")
    if missing := [name for name in names if not os.environ.get(name)]:
        raise LookupError(f"{' and '.join(missing)} must name a folder")
    run, release = (Path(os.environ[name]).absolute() for name in names)
    rows, profile = choose_rows(release, ROWS)
    if len(rows) < ROWS:
        raise LookupError(f"{release} has {len(rows)} held-out rows of this version's prompts, not {ROWS}")
    with tempfile.TemporaryDirectory(prefix="parity-") as folder:
        settings = get_settings().model_copy(update={"home": Path(folder)})
        settings.models_dir.mkdir(parents=True)
        copy = settings.home / "runs" / run.name
        shutil.copytree(run, copy, ignore=shutil.ignore_patterns("release", "tensorboard"))
        half = gguf.convert(merge(copy, copy / "merged"), copy / "f16.gguf")
        shutil.rmtree(copy / "merged")
        for kind in KINDS:
            entry = register(kind, half, copy, settings)
            yield from describe(kind, compare_rows(entry, rows, profile, release.name, settings))


def register(kind: str, half: Path, run: Path, settings: Settings) -> ModelEntry:
    """Quantize the merged model and list it."""
    (quantisation,) = (name for name in get_args(gguf.Quantisation) if name == kind)
    model_id = sha256(kind.encode()).hexdigest()
    path = settings.models_dir / f"{kind}.gguf"
    gguf.quantise(half, path, kind=quantisation, metadata={gguf.MODEL_ID_KEY: model_id})
    recipe = recipe_of(run)
    return Registry(settings.models_dir).add(
        ModelEntry(
            model_id=model_id,
            path=path.name,
            file_sha256=hash_file(path),
            base=recipe.base_name,
            quantisation=kind,
            licence=recipe.licence,
            adapter=adapter_digest(run),
            run=run.name,
        )
    )


def describe(kind: str, receipt: Parity) -> Iterator[Figure]:
    """Yield how far the verdicts are from the adapter's."""
    for what, flips, shift in (
        ("served file", receipt.flips_served, receipt.shift_served),
        ("merged model", receipt.flips_merged, receipt.shift_merged),
    ):
        yield Figure(
            figure=f"{kind}, verdicts of the {what} that are not the adapter's",
            value=round(100 * flips / receipt.rows, 2),
            unit="%",
            peer=f"{flips} of {receipt.rows} rows, {receipt.unscored} without a score; "
            f"largest shift {shift:.3f}",
            bar=f"≤ {100 * MAX_FLIPS:g}",
            ok=flips <= MAX_FLIPS * receipt.rows,
        )
