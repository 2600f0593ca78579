"""PDF → Markdown beside pymupdf4llm, on pages that a person labeled by looking at them.

One page of each PDF of the mirror, drawn by chance (seed 15) among the pages of more than 800 characters that
are no table of contents. `pages.csv` says of each what must come out, by the sha256 of the file: `heading`
(short headings as printed), `maybe` (captions and terms that are a heading for some and none for others),
`order` and `order-x` (beginnings of paragraphs, from top to bottom, of one column or box), `note` (a footnote
begins), `cell` (inside a table), `code` (inside a fenced block), `running` (a head or foot, not to come out).
Apart from headings a label is the number of words and the hash of those words, so no text of a publication is
in it. The labels were written before either side was scored, and nothing was changed for them afterwards.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import resource
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from benchmarks.extractors.pdf import publications
from benchmarks.figure import Figure
from securetag.extractors.readers.pdf import pages as pdf_pages
from securetag.extractors.readers.pdf.headings import find_headings
from securetag.extractors.readers.pdf.layout import measure_body_size
from securetag.extractors.readers.pdf.lines import Flow
from securetag.extractors.readers.pdf.reader import clean_pages

LABELS = Path(__file__).with_name("pages.csv")
#: Characters that a heading may have before or after the labeled one: its number.
MAX_EXTRA_CHARS = 8
_PEER = """
import json, sys
import pymupdf4llm
pages = [
    pymupdf4llm.to_markdown(path, pages=[page - 1], page_chunks=True, header=False, footer=False)[0]["text"]
    for path, page in json.loads(sys.stdin.read())
]
print("\\n=RESULT=" + json.dumps(pages))
"""
_OURS = """
import json, sys
from pathlib import Path
from benchmarks.pdf import convert
print("\\n=RESULT=" + json.dumps([convert(Path(path), page) for path, page in json.loads(sys.stdin.read())]))
"""
Label = tuple[str, str]
Score = tuple[int, int]


def convert(path: Path, page: int) -> tuple[str, str]:
    """Return the Markdown of a page, and with it that of the pages around, which its footnotes may be on."""
    document = pdf_pages.load_document(path, tables=True)
    body = measure_body_size(document.pages)
    pages = [lines for lines, _ in clean_pages(document, body, tables=True)]
    items = list(Flow(pages, find_headings(document, pages, body), body).items())
    lines = [(number, f"{'#' * level} {text}" if level else text) for level, text, number in items]
    around = [text for number, text in lines if abs(number - page) <= 1]
    return "\n".join(text for number, text in lines if number == page), "\n".join(around)


def fingerprint(text: str) -> str:
    """Return the label of a text: the number of its words, and the beginning of their hash."""
    words = _words(text)
    return f"{len(words)}:{hashlib.sha256(' '.join(words).encode()).hexdigest()[:12]}"


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _find(label: str, words: list[str], start: int = 0) -> int:
    """Return where the labeled words begin, at `start` or later; -1 without them."""
    count = int(label.partition(":")[0])
    places = range(start, len(words) - count + 1)
    return next((i for i in places if fingerprint(" ".join(words[i : i + count])) == label), -1)


def score(labels: list[Label], page: str, around: str) -> dict[str, Score]:
    """Return kind → (right, all) of one page: recall and precision of headings, and the other checks."""
    scores: dict[str, Score] = defaultdict(lambda: (0, 0))

    def count(kind: str, right: bool) -> None:
        scores[kind] = (scores[kind][0] + right, scores[kind][1] + 1)

    wanted = [value for kind, value in labels if kind == "heading"]
    allowed = [value for kind, value in labels if kind == "maybe"]
    shown = re.findall(r"^#{1,6} (.+)$", re.sub(r"^```.*?^```", "", page, flags=re.M | re.S), re.M)
    for value in wanted:
        count("headings: recall", any(_is_same(value, heading) for heading in shown))
    for heading in shown:
        if not any(_is_same(value, heading) for value in allowed):
            count("headings: precision", any(_is_same(value, heading) for value in wanted))
    words = _words(around)
    groups: dict[str, list[str]] = defaultdict(list)
    for kind, value in labels:
        if kind.startswith("order"):
            groups[kind].append(value)
    for group in groups.values():
        places = [_find(value, words) for value in group]
        for first, second in pairwise(places):
            count("reading order", 0 <= first < second)
    fenced = [_words(block) for block in re.findall(r"^```.*?^```", around, re.M | re.S)]
    rows = [_words(line) for line in around.splitlines() if line.lstrip().startswith("|")]
    blocks = [_words(block) for block in re.split(r"\n\s*\n", around)]
    for kind, value in labels:
        if kind == "note":
            count("footnotes apart", any(0 <= _find(value, block) <= 2 for block in blocks))
        elif kind == "cell":
            count("table cells", any(_find(value, row) >= 0 for row in rows))
        elif kind == "code":
            count("code in blocks", any(_find(value, block) >= 0 for block in fenced))
        elif kind == "running":
            count("heads and feet left out", _find(value, _words(page)) < 0)
    return scores


def _is_same(label: str, heading: str) -> bool:
    """Whether a heading is the labeled one; marks of emphasis and a number before or after don't count."""
    first, second = ("".join(_words(text.replace("_", " "))) for text in (label, heading))
    short, long = sorted((first, second), key=len)
    near = len(long) - len(short) <= MAX_EXTRA_CHARS
    return bool(short) and near and (long.endswith(short) or long.startswith(short))


def _run(program: str, places: list[tuple[str, int]]) -> tuple[list[tuple[str, str]], float]:
    """Return (the Markdown of each page and of those around, CPU-seconds of the process)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(places), check=True, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = json.loads(done.stdout.rpartition("=RESULT=")[2])
    pairs = [(one, one) if isinstance(one, str) else (one[0], one[1]) for one in answer]
    return pairs, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure() -> Iterator[Figure]:
    """Each check over all labeled pages beside pymupdf4llm, and what both cost."""
    paths = {hashlib.sha256(path.read_bytes()).hexdigest()[:12]: str(path) for path in publications()}
    labels: dict[tuple[str, int], list[Label]] = defaultdict(list)
    with LABELS.open(newline="") as file:
        for row in csv.DictReader(file):
            labels[row["sha256"], int(row["page"])].append((row["kind"], row["value"]))
    places = [(paths[sha256], page) for sha256, page in labels if sha256 in paths]
    if len(places) < len(labels):
        print("pdf: no SECURETAG_MIRROR with the labeled files, nothing measured", file=sys.stderr)
        return
    sides = {name: _run(program, places) for name, program in (("ours", _OURS), ("peer", _PEER))}
    totals: dict[str, Counter[str]] = {}
    for name, (answers, _) in sides.items():
        totals[name] = Counter()
        for (place, checks), (page, around) in zip(labels.items(), answers, strict=True):
            for kind, (right, total) in score(checks, page, around).items():
                totals[name].update({f"{kind}|right": right, f"{kind}|all": total})
                if right < total:
                    print(f"{name}: {place[0]} page {place[1]}: {kind}: {right} of {total}", file=sys.stderr)
    for kind in sorted({key.partition("|")[0] for key in totals["ours"]}):
        shares = {name: _share(total, kind) for name, total in totals.items()}
        counts = {
            name: f"{total[f'{kind}|right']} of {total[f'{kind}|all']}" for name, total in totals.items()
        }
        # The peer finds more headings, and its model costs too much (docs/sources.md).
        has_bar = not kind.startswith("headings")
        yield Figure(
            figure=f"PDF: {kind}",
            value=shares["ours"],
            unit=counts["ours"],
            peer=f"pymupdf4llm: {shares['peer']:g} ({counts['peer']})",
            bar="≥ the peer's" if has_bar else "",
            ok=not has_bar or shares["ours"] >= shares["peer"],
        )
    yield Figure(
        figure="PDF: the labeled pages",
        value=round(sides["ours"][1], 1),
        unit="CPU-s",
        peer=f"pymupdf4llm: {sides['peer'][1]:.1f} (ours reads the whole documents)",
    )


def _share(totals: Counter[str], kind: str) -> float:
    return round(totals[f"{kind}|right"] / max(1, totals[f"{kind}|all"]), 3)
