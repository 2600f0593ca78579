"""Documents say what is there: links resolve, the drawn layers are the enforced ones, ADRs are in form."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md"), CHECKOUT / "data" / "README.md"])
#: A page that is longer is two pages, each for a reader of its own.
MAX_PAGE_LINES = 240
ADRS = sorted((CHECKOUT / "docs" / "adr").glob("[0-9]*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(CHECKOUT).as_posix())
def test_relative_links_resolve(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    links = re.findall(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)", text)
    assert [link for link in links if ":" not in link and not (page.parent / link).exists()] == []


def test_the_drawn_layers_are_the_enforced_ones() -> None:
    contracts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = next(one["layers"] for one in contracts["contracts"] if one["type"] == "layers")
    assert "```\n" + "\n".join(layers) + "\n```" in (CHECKOUT / "ARCHITECTURE.md").read_text("utf-8")


def test_the_index_lists_every_page() -> None:
    docs = CHECKOUT / "docs"
    links = re.findall(r"\]\(([^)#]+)\)", (docs / "README.md").read_text("utf-8"))
    listed = {(docs / link).resolve() for link in links}
    pages = {page for page in docs.rglob("*.md") if page.parent.name != "adr" and page.name != "README.md"}
    assert {page.relative_to(docs).as_posix() for page in pages - listed} == set()


@pytest.mark.parametrize("page", sorted((CHECKOUT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_a_page_is_short_enough_to_read(page: Path) -> None:
    assert len(page.read_text("utf-8").splitlines()) <= MAX_PAGE_LINES


def test_the_guide_of_the_api_has_every_call() -> None:
    from securetag.api.app import create_app
    from securetag.settings import Settings

    paths = create_app(Settings()).openapi()["paths"]
    calls = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    guide = (CHECKOUT / "docs" / "api.md").read_text("utf-8")
    assert set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^` ]*)`", guide)) == calls


@pytest.mark.parametrize("page", ADRS, ids=lambda page: page.stem)
def test_each_decision_is_one_page_in_the_form(page: Path) -> None:
    text = page.read_text("utf-8")
    number = int(page.name[:4])
    assert text.startswith(f"# {number}. ")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences"]
    assert re.search(r"^(Accepted|Superseded by \[\d{4}\]\(.*\)), \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    assert len(text.splitlines()) <= 60


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    assert [int(page.name[:4]) for page in ADRS] == list(range(1, len(ADRS) + 1))
    index = (CHECKOUT / "docs" / "adr" / "README.md").read_text("utf-8")
    assert [page.name for page in ADRS if f"({page.name})" not in index] == []


def test_the_licence_is_the_whole_apache_text() -> None:
    import hashlib

    digest = hashlib.sha256((CHECKOUT / "LICENSE").read_bytes()).hexdigest()
    # Of https://www.apache.org/licenses/LICENSE-2.0.txt.
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
