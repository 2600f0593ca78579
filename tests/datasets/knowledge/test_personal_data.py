"""Addresses of persons and issued keys in public texts reach no row; examples of a guide do."""

from __future__ import annotations

import pytest

from securetag.datasets.knowledge.personal_data import mask_personal_data
from securetag.datasets.knowledge.questions import make_questions
from securetag.records import Facts, Record
from securetag.scrubbing.scrub import EMAIL, SECRET

GOOGLE_KEY = "AIza" + "Sy0fAkE_" * 4 + "abc"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param("Ask jo.doe@agency.gov first.", f"Ask {EMAIL} first.", id="person"),
        pytest.param("Jo <jo@uni.de>, Al <al@sub.uni.de>", f"Jo <{EMAIL}>, Al <{EMAIL}>", id="two"),
        pytest.param("alice@example.com logs in", "alice@example.com logs in", id="reserved domain"),
        pytest.param("mail a@host.test", "mail a@host.test", id="reserved end"),
        pytest.param("a@example.com.evil.io", EMAIL, id="reserved name in another domain"),
        pytest.param("@decorator and user@host", "@decorator and user@host", id="no address"),
        pytest.param(f'{{"KEY":"{GOOGLE_KEY}"}}', f'{{"KEY":"{SECRET}"}}', id="issued key"),
        pytest.param("AKIA" + "A1B2" * 4, SECRET, id="AWS"),
        pytest.param("password: hunter2", "password: hunter2", id="an example of a password"),
    ],
)
def test_texts(text: str, masked: str) -> None:
    assert mask_personal_data(text) == masked
    assert mask_personal_data(masked) == masked


def test_a_row_names_no_person_of_its_record() -> None:
    text = (
        "Questions on this notice are answered by the office at jo.doe@agency.gov, with its list of modules."
    )
    record = Record.of(
        source="s",
        publisher="P",
        key="k",
        title="Notice",
        text=text,
        lang="en",
        url="https://s.example/",
        edition="1",
        licence="MIT",
        file_sha256="0" * 64,
        locator="/",
        facts=Facts(kind="article"),
    )
    (row, *_) = make_questions(record, "full")
    assert EMAIL in row.messages[-1].content
    assert "agency.gov" not in row.messages[-1].content
