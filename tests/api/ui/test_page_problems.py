"""Errors on the page: in its language and in its words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from api_in_process import Api
from rows import make_finding
from stored_scans import store_scan
from ui_browser import signed_in

import securetag
from securetag.api.ui.problems import _load, describe_problem
from securetag.records import Lang

LANGS: tuple[Lang, ...] = ("en", "es")


@pytest.mark.anyio
async def test_a_spanish_page_explains_errors_in_spanish(api: Api) -> None:
    tenant = await api.tenant()
    await store_scan(api, tenant, make_finding(), branch="main")
    browser = await signed_in(api, tenant.key)
    await browser.open("/ui/findings?lang=es")
    address = browser.links(r"/ui/findings/[0-9a-f-]{36}[^\"]*")[0]
    await browser.open(address)
    refused = await browser.send("/suppress", reason="x")
    assert "El motivo es demasiado corto." in refused
    assert "Escriba al menos 3 caracteres" in refused
    await browser.open(address)
    await store_scan(api, tenant, make_finding(), branch="main")
    outdated = await browser.send("/verdict", verdict="false_positive")
    assert "Un análisis más reciente ha visto este hallazgo" in outdated
    assert "GET /findings" not in outdated


def test_every_translation_is_of_a_message_that_the_code_has() -> None:
    source = "".join(path.read_text() for path in Path(securetag.__file__).parent.rglob("*.py"))
    for pattern, texts in _load():
        assert all(texts[lang][0] for lang in LANGS)
        if ": " in pattern.pattern:
            continue  # of Pydantic
        literal = max(re.split(r"\(.*?\)|\\[dw]\S*|[|*?.\[\]]+", pattern.pattern), key=len).strip()
        assert literal in source, literal


def test_what_nobody_has_translated_is_marked_as_english() -> None:
    problem = describe_problem("the moon is full", "Wait.", "es")
    assert (problem.what, problem.hint, problem.is_foreign) == ("The moon is full.", "Wait.", True)
    assert not describe_problem("the moon is full", "Wait.", "en").is_foreign
    assert describe_problem("this key has no scope `feedback`", "", "es").what.endswith("permiso feedback.")
    assert describe_problem("", "", "es").what == ""
