"""`securetag trace` over a million lineage rows, from every end, and what its index costs."""

from __future__ import annotations

import hashlib
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.figure import Figure
from securetag.datasets.releases import lineage, release
from securetag.pipeline.trace import trace
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings

ROWS = 1_000_000
#: Rows that share a Record, as a Record gives several examples; every twentieth row is a finding's.
PER_RECORD, PER_FINDING = 3, 20
LOOKUPS = 200
#: Seconds that a look-up may take, from the command's start-up apart.
BAR_S = 1.0


def measure() -> Iterator[Figure]:
    """Slowest and typical seconds of a look-up by kind, beside a scan of the Parquet file; index size."""
    drawn = random.Random(0)
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home) / "home", data=Path(home) / "data")
        folder = _release(settings)
        before = time.process_time()
        path = lineage.build_index(folder)
        yield Figure(
            figure="index of a million rows", value=round(time.process_time() - before, 1), unit="CPU-s"
        )
        yield Figure(figure="size of the index", value=round(path.stat().st_size / 2**20), unit="MiB")
        scan = _scan(folder, _id("record", drawn.randrange(ROWS // PER_RECORD)))
        wanted = {
            "example": [_id("example", drawn.randrange(ROWS)) for _ in range(LOOKUPS)],
            "record": [_id("record", drawn.randrange(ROWS // PER_RECORD)) for _ in range(LOOKUPS)],
            "finding": [f"f-{drawn.randrange(ROWS // PER_FINDING):08d}" for _ in range(LOOKUPS)],
            "beginning of an example": [_id("example", drawn.randrange(ROWS))[:12] for _ in range(LOOKUPS)],
            "release": [folder.name] * 5,
            "model": ["a" * 64] * 5,
            "tenant": ["t-0020"] * 5,
        }
        for kind, names in wanted.items():
            times = sorted(_timed(name, settings) for name in names)
            yield Figure(
                figure=f"trace a {kind}: slowest of {len(names)}",
                value=round(times[-1], 4),
                unit="s",
                peer=f"median {times[len(times) // 2]:.4f}, Parquet scan {scan:.2f}",
                bar=f"< {BAR_S:g}",
                ok=times[-1] < BAR_S,
            )


def _timed(name: str, settings: Settings) -> float:
    start = time.perf_counter()
    found = trace(name, settings)
    taken = time.perf_counter() - start
    assert found.thing is not None, name
    assert found.places, name
    return taken


def _scan(folder: Path, record: str) -> float:
    """Seconds of the same question put to the Parquet file."""
    import pyarrow.parquet as pq

    start = time.perf_counter()
    found = pq.read_table(folder / lineage.FILE, filters=[("record_id", "=", record)])
    assert found.num_rows == PER_RECORD
    return time.perf_counter() - start


def _id(kind: str, number: int) -> str:
    return hashlib.sha256(f"{kind}/{number}".encode()).hexdigest()


def _release(settings: Settings) -> Path:
    """A release whose lineage has a million rows; its JSONL is empty, which a look-up never reads."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, manifest = release.write_release(
        [],
        [],
        params={},
        inputs={},
        counts={},
        sources=[],
        card=lambda _: "",
        code_version="",
        releases_dir=settings.releases_dir,
    )
    order = sorted(range(ROWS), key=lambda number: _id("example", number))
    judged = [number % PER_FINDING == 0 for number in order]
    columns: dict[str, list[Any]] = {
        "example_id": [_id("example", number) for number in order],
        "split": [("train", "validation", "test")[number % 3] for number in order],
        "task": ["qa"] * ROWS,
        "source": [f"source-{number % 40}" for number in order],
        "licence": ["MIT"] * ROWS,
        "group": [f"g{number}" for number in order],
        "record_id": [_id("record", number // PER_RECORD) for number in order],
        "finding_id": [
            f"f-{number // PER_FINDING:08d}" if j else None for number, j in zip(order, judged, strict=True)
        ],
        "tenant_id": [f"t-{number % 50:04d}" if j else None for number, j in zip(order, judged, strict=True)],
        "consent_id": [
            f"c-{number % 50:04d}" if j else None for number, j in zip(order, judged, strict=True)
        ],
    }
    (path / lineage.FILE).unlink()
    schema = pa.schema([(name, pa.string()) for name in columns])
    pq.write_table(pa.table(columns, schema=schema), path / lineage.FILE)
    registry = Registry(settings.models_dir)
    registry.models_dir.mkdir(parents=True)
    (registry.models_dir / "m.gguf").touch()
    entry = ModelEntry(
        model_id="a" * 64,
        path="m.gguf",
        file_sha256="0" * 64,
        base="b",
        quantisation="Q8_0",
        licence="Apache-2.0",
    )
    registry.add(msgspec.structs.replace(entry, release=manifest.digest))
    return path
