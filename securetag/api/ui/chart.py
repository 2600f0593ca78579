"""Counts over time as the paths of an SVG picture: areas on top of each other."""

from __future__ import annotations

from dataclasses import dataclass

from securetag.api.findings.statistics import Series

WIDTH, HEIGHT = 1000, 220
#: Room for the words of the axes.
LEFT, BOTTOM, TOP, RIGHT = 90, 30, 12, 10
#: Lines across.
GRID_LINES = 4


@dataclass(frozen=True, slots=True)
class Area:
    """One severity."""

    name: str
    #: Attribute `d` of its path.
    path: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A word of an axis, and where it stands."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What the template draws."""

    areas: list[Area]
    counts: list[Mark]
    days: list[Mark]
    width: int = WIDTH
    height: int = HEIGHT
    grid_start: int = LEFT
    grid_end: int = WIDTH - RIGHT


def plot(series: Series) -> Chart:
    """Return the picture of a series, the gravest severity at the bottom."""
    steps = len(series.days) - 1
    totals = [sum(counts) for counts in zip(*series.by_severity.values(), strict=True)]
    top = round_up(max(totals, default=0))

    def x(index: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (index / steps if steps else 0.5)

    def y(count: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * count / top

    below = [0] * len(series.days)
    areas = []
    for severity, counts in series.by_severity.items():
        above = [base + count for base, count in zip(below, counts, strict=True)]
        if any(counts):
            forth = [f"{x(i):.1f},{y(count):.1f}" for i, count in enumerate(above)]
            back = [f"{x(i):.1f},{y(count):.1f}" for i, count in reversed(list(enumerate(below)))]
            areas.append(Area(severity, f"M{' L'.join(forth)} L{' L'.join(back)} Z"))
        below = above
    marked = sorted({0, steps // 2, steps})
    return Chart(
        areas,
        [Mark(y(top * i / GRID_LINES), f"{top * i // GRID_LINES:,}") for i in range(GRID_LINES + 1)],
        [Mark(x(index), series.days[index].isoformat()) for index in marked],
    )


def round_up(count: int) -> int:
    """Return a count at or above this one whose quarters are whole and easy to read."""
    size = 1
    while True:
        for digit in (4, 8, 12, 20, 40):
            if digit * size >= count:
                return digit * size
        size *= 10
