"""What the secrets scanner finds of planted secrets, and what it reports on well-kept packages.

The planted ones are in two halves, of which one was only counted at first, and a third part that was
written last: docs/secrets.md says what each of them was before it was read. Noise is measured on the packages
of `benchmarks/rules/clean.csv`, whole, as released.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.real.fetch import fetch_package
from benchmarks.rules.clean import SUFFIXES, read_clean
from benchmarks.secrets.planted import LATE, Form, list_forms, write_each
from securetag.scanning.secrets.__main__ import scan_folder, scan_text
from securetag.scanning.targets import count_lines

SEED = 13
PER_FORM = 5
MIN_RECALL = 0.90
#: Findings above the default confidence per 1,000 lines of a clean package, at most.
MAX_NOISE = 0.3
SHOWN = frozenset({"medium", "high"})


@dataclass(frozen=True)
class Planted:
    """One planted secret, and whether it was found and is shown by default."""

    form: Form
    is_found: bool
    is_shown: bool
    text: str


def plant(forms: Iterable[Form]) -> list[Planted]:
    """Write every form PER_FORM times, and scan each file by itself."""
    outcomes = []
    for form in forms:
        for text, _, line in write_each(form, SEED, PER_FORM):
            entries = [entry for entry in scan_text(text, form.path) if entry.line <= line <= entry.end_line]
            is_shown = any(entry.confidence in SHOWN for entry in entries)
            outcomes.append(Planted(form, bool(entries), is_shown, text))
    return outcomes


def measure() -> Iterator[Figure]:
    """Yield recall of each half and kind, then noise."""
    forms = list_forms(SEED)
    parts = {
        "first half": [form for form in forms if not form.is_unread],
        "second half": [form for form in forms if form.is_unread],
        "written last": LATE,
    }
    for name, part in parts.items():
        half = plant(part)
        recall = _share(half)
        yield Figure(
            figure=f"{name}: recall",
            value=recall,
            unit=f"of {len(half)} in {len(half) // PER_FORM} forms",
            peer=f"{_share(half, shown=False)} at any confidence",
            bar=f"≥ {MIN_RECALL}",
            ok=recall >= MIN_RECALL,
        )
        kinds: dict[str, list[Planted]] = defaultdict(list)
        for each in half:
            kinds[each.form.kind].append(each)
        for kind, group in kinds.items():
            yield Figure(figure=f"{name}: {kind}", value=_share(group), unit=f"of {len(group)}")
    yield from _noise_figures()


def _share(planted: list[Planted], *, shown: bool = True) -> float:
    return round(sum(each.is_shown if shown else each.is_found for each in planted) / len(planted), 3)


def _noise_figures() -> Iterator[Figure]:
    lines = shown = 0
    began = time.process_time()
    everything: Counter[str] = Counter()
    for package in read_clean():
        root = fetch_package(package.ecosystem, package.package, package.version)
        reported = list(list_reported(root))
        count = sum(count_lines(path) for path in root.rglob("*") if path.suffix in SUFFIXES)
        lines += count
        shown += len(reported)
        everything.update(kind for _, _, kind in reported)
        density = 1000 * len(reported) / count
        yield Figure(
            figure=f"clean: {package.package}-{package.version}",
            value=round(density, 3),
            unit="shown/1,000 lines",
            bar=f"≤ {MAX_NOISE}",
            ok=density <= MAX_NOISE,
        )
    yield Figure(
        figure="clean: shown in all", value=shown, unit=f"of {lines:,} lines", peer=str(dict(everything))
    )
    yield Figure(
        figure="clean: CPU",
        value=round(time.process_time() - began, 1),
        unit=f"s for {lines:,} lines of code",
    )


def list_reported(root: Path) -> Iterator[tuple[str, int, str]]:
    """Yield (path, line, kind) of what is reported above the default confidence in a folder."""
    for entry in scan_folder(root):
        if entry.path and entry.confidence in SHOWN:
            yield entry.path, entry.line, entry.kind
