"""HTML → sections of main content, beside BeautifulSoup on lxml doing as much, on well-formed pages.

The pages are made here, so that what a reader should find in them is known: documentation of 30 sections
among navigation, notices and a footer. Both sides go from bytes to sections; quality is printed for both.
"""

from __future__ import annotations

import gc
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from securetag.extractors.readers.html import build_sections
from securetag.extractors.text.html_markdown import join_blocks
from securetag.extractors.text.html_page import decode_page, parse_page
from securetag.extractors.text.sections import build_tree, split_section

HARD = Path(__file__).parents[2] / "tests/extractors/pages"
PAGES, ROUNDS = 6, 5
WORDS = re.findall(
    r"\w+",
    "session token header request origin cookie script policy escape query parameter encode verify rotate "
    "secret signature upload archive path redirect template render the of and a to in is that for when with",
)


def _sentence(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(8, 24))).capitalize() + "."


def _section(rng: random.Random, number: int) -> tuple[str, str]:
    """(HTML, the text in it) of one section."""
    title = f"{number} {_sentence(rng)[:30]}"
    paragraphs = [_sentence(rng) for _ in range(6)]
    code = "\n".join(f"{' ' * rng.randint(0, 8)}{rng.choice(WORDS)} = call({n})" for n in range(12))
    rows = [[rng.choice(WORDS) for _ in range(3)] for _ in range(6)]
    spans = re.sub(r"(\w+)", r'<span class="n">\1</span>', code)
    links = [re.sub(r"(\w+)", r'<a href="/\1">\1</a>', text, count=2) for text in paragraphs]
    html = "\n".join(
        [
            f'<section id="s{number}"><h2>{title}<a class="headerlink" href="#s{number}">¶</a></h2>',
            *(f"<p>{text}</p>" for text in links[:4]),
            "<ul>",
            *(f"<li><strong>{text.replace(' ', '</strong> ', 1)}</li>" for text in paragraphs[4:]),
            "</ul>",
            f'<div class="highlight"><pre>{spans}</pre></div>',
            "<table><thead><tr>",
            *(f"<th>{cell}</th>" for cell in rows[0]),
            "</tr></thead><tbody>",
            *(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows[1:]),
            "</tbody></table></section>",
        ]
    )
    return html, "\n".join([title, *paragraphs, code, *(" ".join(row) for row in rows)])


def page(seed: int) -> tuple[bytes, str]:
    """(bytes, expected text) of one page of some 100 kB."""
    rng = random.Random(seed)
    made = [_section(rng, number) for number in range(30)]
    menu = "".join(f'<li><a href="/{n}">{_sentence(rng)[:25]}</a></li>' for n in range(120))
    head = f'<head><meta charset="utf-8"><title>Page {seed} | Docs</title></head>'
    frame = f'<header><nav><ul>{menu}</ul></nav></header><div class="sidebar"><ul>{menu}</ul></div>'
    main = f"<main><article><h1>Page {seed}</h1>{''.join(html for html, _ in made)}</article></main>"
    foot = f'<div class="cookie-banner"><p>{_sentence(rng)}</p></div><footer><p>{_sentence(rng)}</p></footer>'
    html = f'<!DOCTYPE html><html lang="en">{head}<body>{frame}{main}{foot}</body></html>'
    return html.encode(), "\n".join([f"Page {seed}", *(text for _, text in made)])


def ours(data: bytes) -> str:
    """As HtmlReader does it, up to the Records."""
    root = build_sections(parse_page(decode_page(data)), "page")
    return "\n\n".join(f"{piece.path[-1]}\n\n{piece.text}" for piece in split_section(root))


def beautiful_soup(data: bytes) -> str:
    """The same in the way that BeautifulSoup's manual teaches: drop the frame, mark what stands in lines, go
    over the blocks."""
    from bs4 import BeautifulSoup, Tag

    soup = BeautifulSoup(data, "lxml")
    for element in soup.select("nav, header, footer, script, style, .sidebar, .cookie-banner, a.headerlink"):
        element.decompose()
    main = soup.find("main") or soup
    assert isinstance(main, Tag)
    for element in main.find_all(["strong", "b", "em", "i", "code"]):
        if element.find_parent("pre") is None:
            mark = {"strong": "**", "b": "**", "code": "`"}.get(element.name, "*")
            element.replace_with(f"{mark}{element.get_text()}{mark}")
    items: list[tuple[int, str, int]] = []
    for element in main.find_all(["h1", "h2", "h3", "p", "li", "pre", "table"]):
        if element.name == "pre":
            items.append((0, f"```\n{element.get_text()}\n```\n", 1))
        elif element.name == "table":
            rows = [
                [" ".join(cell.get_text().split()) for cell in row.find_all(["td", "th"])]
                for row in element.find_all("tr")
            ]
            lines = [f"| {' | '.join(row)} |" for row in rows]
            items.append((0, "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:], ""]), 1))
        else:
            text = " ".join(element.get_text().split())
            level = int(element.name[1]) if element.name[0] == "h" else 0
            items.append((level, text if level else f"{'- ' if element.name == 'li' else ''}{text}\n", 1))
    root = build_tree("page", iter(items))
    return "\n\n".join(f"{piece.path[-1]}\n\n{piece.text}" for piece in split_section(root))


def overlap(found: str, wanted: str) -> tuple[float, float]:
    """(precision, recall) of words, each counted as often as it stands."""
    one, two = (Counter(re.findall(r"\w+", text.lower())) for text in (found, wanted))
    both = sum((one & two).values())
    return both / max(sum(one.values()), 1), both / max(sum(two.values()), 1)


def _seconds(pages: list[bytes]) -> tuple[float, float]:
    """CPU-seconds of both: for each page the quickest of the rounds, which are run in turns."""
    best: dict[tuple[bool, int], float] = {}
    for _ in range(ROUNDS):
        for number, data in enumerate(pages):
            for peer in (False, True):
                gc.collect()  # neither pays for what the other left behind
                started = time.process_time()
                (beautiful_soup if peer else ours)(data)
                spent = time.process_time() - started
                best[peer, number] = min(spent, best.get((peer, number), spent))
    mine, theirs = (sum(best[peer, number] for number in range(len(pages))) for peer in (False, True))
    return mine, theirs


def measure() -> Iterator[Figure]:
    made = [page(seed) for seed in range(PAGES)]
    pages = [data for data, _ in made]
    megabytes = sum(map(len, pages)) / 1e6
    ours(pages[0])
    beautiful_soup(pages[0])
    quick, slow = _seconds(pages)
    yield Figure(figure="HTML: throughput", value=round(megabytes / quick, 1), unit="MB/CPU-s")
    yield Figure(
        figure="HTML: bytes to sections, well-formed",
        value=round(slow / quick, 1),
        unit="x",
        peer=f"BeautifulSoup + lxml ({megabytes / slow:.1f} MB/CPU-s)",
        bar="≥ 10",
        ok=slow / quick >= 10,
    )
    for name, read, peer in (
        ("HTML", ours, ""),
        ("HTML: the peer's", beautiful_soup, "BeautifulSoup + lxml"),
    ):
        scores = [overlap(read(data), text) for data, text in made]
        precision, recall = (sum(score[side] for score in scores) / PAGES for side in (0, 1))
        bar = "" if peer else "≥ 0.99"
        yield Figure(
            figure=f"{name} precision of words",
            value=round(precision, 4),
            unit="",
            peer=peer,
            bar=bar,
            ok=bool(peer) or precision >= 0.99,
        )
        yield Figure(
            figure=f"{name} recall of words",
            value=round(recall, 4),
            unit="",
            peer=peer,
            bar=bar,
            ok=bool(peer) or recall >= 0.99,
        )
    yield from _hard_pages()


def _hard_pages() -> Iterator[Figure]:
    """Pages without a `main`, of frames, tables, notices: see tests/extractors/pages."""
    scores = []
    for path in sorted(HARD.glob("*.html")):
        found = join_blocks(parse_page(decode_page(path.read_bytes())).blocks)
        scores.append(overlap(found, path.with_suffix(".md").read_text(encoding="utf-8")))
    for side, name in enumerate(("precision", "recall")):
        mean = sum(score[side] for score in scores) / len(scores)
        yield Figure(
            figure=f"HTML: main content of {len(scores)} hard pages, {name} of words",
            value=round(mean, 4),
            unit="",
            bar="≥ 0.95",
            ok=mean >= 0.95,
        )
