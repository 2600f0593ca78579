"""Secrets and personal data in documents."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import IDENTITIES, SECRETS, planted, survivors

from securetag.scrubbing import scrub_document


def scrubbed(text: str) -> str:
    return scrub_document(text).text


REPLACED = {
    "The new password is hunter2-Prod!.": "The new password is REDACTED_SECRET.",
    "Set the **password** to `S3cure!pass`.": "Set the **password** to `REDACTED_SECRET`.",
    "La contraseña de admin es Verano2024!": "La contraseña de admin es REDACTED_SECRET",
    "Ask jane.doe@example.com or +1 202-555-0143.": "Ask user@redacted.example or [phone].",
    "call (202) 555-0143, tel: 030 1234567": "call [phone], tel: [phone]",
    "Card 4111 1111 1111 1111": "Card [card]",
    "IBAN DE89 3704 0044 0532 0130 00": "IBAN [account number]",
    "SSN 123-45-6789": "SSN [person number]",
    "in /home/jane/notes": "in /home/user/notes",
    "postgresql://shop:p4ssw0rd@db:5432/x": "postgresql://REDACTED_SECRET@db:5432/x",
}


@pytest.mark.parametrize("text", REPLACED)
def test_what_is_replaced(text: str) -> None:
    assert scrubbed(text) == REPLACED[text]


@pytest.mark.parametrize(
    "text",
    [
        "The password is required, and a password is the weakest link.",
        'key = os.environ["KEY"]  # {{ template }} stays',
        "CVE-2024-12345, CWE-79, SP 800-53 and AC-2(1) since 2024-10-12 12:00:01",
        "10.0.0.1, 2001:db8::7 and https://owasp.org/www-project-top-ten/ are evidence.",
        "ISBN 978-3-16-148410-0, version 4.19.1, 1,234,567 rows",
        "Every id matches `\\d{3}-\\d{4}`, e.g. 555-0143 or 20240101120000.",
        "password = getpass.getpass()",
        "The secret is kept in a vault; the token is short-lived.",
    ],
)
def test_what_stays(text: str) -> None:
    assert scrubbed(text) == text


@pytest.mark.parametrize("seed", [4, 5])
def test_planted_secrets_and_addresses_are_removed(seed: int) -> None:
    cases = planted(SECRETS, seed, each=10)
    emails = planted({"e-mail address": IDENTITIES["e-mail address"]}, seed, each=20)
    assert survivors([*cases, *emails], scrubbed) == []


@given(st.text())
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    once = scrubbed(text)
    assert scrubbed(once) == once
    assert once.count("\n") == text.count("\n")


@given(
    st.lists(
        st.sampled_from(["password is ", "tel ", "+1 ", "4111", " ", "-", "5550143", "a@b.co", "9!", "\n"])
    )
)
def test_scrubbing_parts_twice_changes_nothing_more(parts: list[str]) -> None:
    once = scrubbed("".join(parts))
    assert scrubbed(once) == once


@pytest.mark.parametrize(
    "text", ["+1" * 50_000, "password " * 20_000, "1-" * 80_000, "DE89 " * 30_000, "(2" * 50_000]
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    started_s = time.process_time()
    scrub_document(text)
    assert time.process_time() - started_s < 5
