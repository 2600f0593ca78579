"""The application that the demo scans: vulnerable on purpose, with the truth about it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

SHOP = Path(str(resources.files("securetag"))) / "examples" / "bodega"
#: One row a vulnerability or a guarded place, see `securetag.rules.accuracy`.
TRUTH = SHOP / "ground_truth.csv"
