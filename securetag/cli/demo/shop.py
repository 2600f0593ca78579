"""The application that the demo scans: vulnerable on purpose, with the truth about it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from securetag.rules.accuracy import read_truth

SHOP = Path(str(resources.files("securetag"))) / "examples" / "bodega"
#: One row a vulnerability or a guarded place, see `securetag.rules.accuracy`.
TRUTH = SHOP / "ground_truth.csv"


def list_held_out_files() -> set[str]:
    """Return every second of the files that the truth is about: nobody gives a verdict on their findings.

    What the second scan shows of them was not learned from.
    """
    return set(sorted({row.path for row in read_truth(TRUTH)})[1::2])
