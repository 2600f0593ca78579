from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.extractors.text.language import LANGUAGES, detect_language

TEXTS = {
    "en": "Check what a caller sends before it reaches the store, and refuse whatever does not fit.",
    "es": "Compruebe lo que envía el cliente antes de que llegue al almacén, y rechace todo aquello que no "
    "cumpla con la forma esperada.",
    "de": "Prüfen Sie, was ein Aufrufer sendet, bevor es den Speicher erreicht, und weisen Sie alles ab, was "
    "nicht der erwarteten Form entspricht.",
    "pt": "Verifique o que o cliente envia antes que chegue ao armazenamento e recuse tudo aquilo que não "
    "corresponde à forma esperada.",
    "ca": "Comproveu el que envia el client abans que arribi al magatzem i rebutgeu tot allò que no s'ajusti "
    "a la forma esperada.",
    "fr": "Vérifiez ce que le client envoie avant que cela n'atteigne le stockage, et refusez tout ce qui ne "
    "correspond pas à la forme attendue.",
    "zh": "在数据到达存储之前检查调用者发送的内容，并拒绝任何不符合预期格式的内容。",
    "ja": "保存先に届く前に呼び出し元が送る内容を確認し、合わないものはすべて拒否してください。",
    "ru": "Проверяйте то, что отправляет клиент, прежде чем это попадёт в хранилище, и отклоняйте лишнее.",
}


@pytest.mark.parametrize("hint", ["en", "es", "und"], ids=str)
@pytest.mark.parametrize("lang", TEXTS)
def test_the_text_outranks_the_hint(lang: str, hint: str) -> None:
    assert detect_language(TEXTS[lang], hint) == lang


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("Kurz und gut.", id="short"),
        pytest.param("`" + TEXTS["de"] + "`", id="code span"),
        pytest.param(f"```\n{TEXTS['de']}\n```\n\nShort.", id="fence"),
        pytest.param(f"| a | b |\n| --- | --- |\n| {TEXTS['de']} | x |", id="table"),
        pytest.param(
            "CVE-2024-1 https://example.org/eine/sehr/lange/adresse/mit/vielen/worten/in/der getUserById(x) "
            "/usr/local/lib/datei_mit_langem_namen.so",
            id="names",
        ),
    ],
)
def test_code_names_tables_and_scraps_leave_the_hint(text: str) -> None:
    assert detect_language(text, "en") == "en"


def test_german_code_does_not_make_english_german() -> None:
    assert detect_language(f"{TEXTS['en']}\n\n```\n{TEXTS['de'] * 5}\n```", "de") == "en"


@given(st.text(max_size=300), st.sampled_from(["en", "es", "xx"]))
def test_any_text_has_a_language_of_the_list_or_the_hint(text: str, hint: str) -> None:
    assert detect_language(text, hint) in {*LANGUAGES, hint}


@pytest.mark.mirror
def test_german_cves_and_spanish_pages_are_what_they_are(mirror: Path) -> None:
    records_by_lang: dict[str, list[str]] = {}
    for path in sorted((mirror / "mitre/cve-records-v5").rglob("CVE-*.json")):
        for text in json.loads(path.read_bytes())["containers"]["cna"].get("descriptions", []):
            records_by_lang.setdefault(text["lang"][:2], []).append(detect_language(text["value"], "en"))
    assert records_by_lang["de"] == ["de"] * 29
    assert set(records_by_lang["en"]) == {"en"}
