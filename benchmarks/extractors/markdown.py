"""Markdown: bytes → Records, beside markdown-it-py parsing and rendering the same bytes to HTML."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from markdown_it import MarkdownIt

from benchmarks.figure import Figure
from benchmarks.measure import repeat_rounds
from securetag.extractors import catalog
from securetag.extractors.fetching.fetch import fetch
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.registry import create_reader
from securetag.extractors.text import language
from securetag.settings import Settings, get_settings

#: Rounds of which the best counts (other work on the machine only ever slows one down), and the wall seconds
#: after which no other begins.
ROUNDS, MAX_WALL_S = 3, 120.0
#: Of markdown-it-py's throughput; ours finds sections, cleans, tells the language and hashes besides.
BAR = 0.8
READERS = ("markdown", "owasp", "mastg", "asvs")


def measure() -> Iterator[Figure]:
    """MB of Markdown a CPU-second, end to end, over OWASP's Markdown as far as the mirror holds it."""
    work = list(_work(get_settings()))
    if not work:
        return
    paths = [file.path for _, files in work for file in files]
    megabytes = sum(path.stat().st_size for path in paths) / 1e6
    language.detect_language(
        "Was eine Sprache ist, steht in Modellen, die ein Lauf einmal laden muss; das zählt nicht.", "en"
    )
    rounds = repeat_rounds(
        lambda: (_cpu_s(lambda: _read(work)), _cpu_s(lambda: _render(paths))),
        rounds=ROUNDS,
        max_wall_s=MAX_WALL_S,
    )
    ours, peer = (min(spent) for spent in zip(*rounds, strict=True))
    yield Figure(
        figure="Markdown: bytes to Records",
        value=round(megabytes / ours, 2),
        unit="MB/CPU-s",
        peer=f"markdown-it-py {megabytes / peer:.2f}",
    )
    yield Figure(
        figure="Markdown beside parsing and rendering",
        value=round(peer / ours, 2),
        unit="x",
        peer="markdown-it-py",
        bar=f"≥ {BAR}",
        ok=peer / ours >= BAR,
    )


def _work(settings: Settings) -> Iterator[tuple[catalog.Source, list[FetchedFile]]]:
    for source in catalog.load().values():
        if (
            source.reader in READERS
            and source.mirror
            and settings.mirror
            and catalog.is_usable(source, settings)
        ):
            files = [file for file in fetch(source, settings) if file.path.suffix == ".md"]
            if files:
                yield source, files


def _read(work: list[tuple[catalog.Source, list[FetchedFile]]]) -> None:
    for source, files in work:
        for _ in create_reader(source).read(files):
            pass


def _render(paths: list[Path]) -> None:
    parser = MarkdownIt("commonmark").enable("table")
    for path in paths:
        parser.render(path.read_text(encoding="utf-8-sig", errors="replace"))


def _cpu_s(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
