"""What Dagster adds: the same sources and the same release as a run of assets and as plain function calls.

Each is a process of its own in a home of its own, with everything that it imports, Dagster's history in
SQLite and the checks that only the asset makes. The release must be the same one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from securetag.assets.sources import records_key
from securetag.extractors.catalog import list_default_sources
from securetag.orchestration.instance import DEFINITIONS, prepare
from securetag.settings import get_settings

BAR = 1.15
#: Synthetic rows of the release; the default of a build is 1200.
SYNTHETIC = 1200
#: The functions themselves. The arguments are the number of synthetic rows and the sources.
DIRECT = """
import sys
from securetag.datasets.build import BuildParams
from securetag.pipeline.extract import extract
from securetag.pipeline.release import build_release
from securetag.settings import get_settings

settings = get_settings()
for name in sys.argv[2:]:
    extract(name, settings)
build_release(BuildParams(synthetic=int(sys.argv[1])), settings)
"""


def measure() -> Iterator[Figure]:
    """CPU-seconds of one run of assets to those of the functions that it calls."""
    yield from compare(SYNTHETIC)


def compare(synthetic: int) -> Iterator[Figure]:
    """Yield the ratio for a release of so many synthetic rows. Raises LookupError for another release."""
    sources = list_default_sources(get_settings())
    with tempfile.TemporaryDirectory() as temporary:
        direct_home, assets_home = Path(temporary) / "direct", Path(temporary) / "assets"
        direct_s = run(["-c", DIRECT, str(synthetic), *sources], direct_home)
        keys = [records_key(name).to_user_string() for name in sources]
        selection = " or ".join(f'key:"{key}"' for key in [*keys, "release"])
        config = {"ops": {"release": {"config": {"synthetic": synthetic}}}}
        assets_s = run(
            [
                *("-m", "dagster", "asset", "materialize", "-m", DEFINITIONS),
                *("--select", selection, "--config-json", json.dumps(config)),
            ],
            assets_home,
        )
        digests = [read_digest(home) for home in (direct_home, assets_home)]
    if digests[0] != digests[1]:
        raise LookupError(f"the assets built release {digests[1]}, the functions {digests[0]}")
    ratio = assets_s / direct_s
    yield Figure(
        figure="assets to plain functions, whole processes",
        value=round(ratio, 3),
        unit="×",
        peer=f"{len(sources)} sources and a release of {synthetic:,} synthetic rows: "
        f"{assets_s:.1f} and {direct_s:.1f} CPU-s, the same digest",
        bar=f"≤ {BAR:g}",
        ok=ratio <= BAR,
    )


def run(arguments: list[str], home: Path) -> float:
    """Run Python in a home of its own; return CPU-seconds of it and its children."""
    settings = get_settings().model_copy(update={"home": home, "database_url": None})
    environment = os.environ | {
        "SECURETAG_HOME": str(home),
        "SECURETAG_DATA": str(home / "data"),
        "DAGSTER_HOME": str(prepare(settings)),
    }
    environment.pop("DATABASE_URL", None)
    before = os.times()
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, check=False, capture_output=True, text=True
    )
    after = os.times()
    if done.returncode:
        raise LookupError(f"it ended with {done.returncode}: {done.stderr[-2000:]}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def read_digest(home: Path) -> str:
    """Return the name of the one release below a home."""
    (manifest,) = (home / "data" / "releases").glob("*/manifest.json")
    return manifest.parent.name
