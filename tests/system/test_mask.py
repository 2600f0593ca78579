"""What a prompt may not show, and what must stay as it is."""

from __future__ import annotations

import pytest

from securetag.system.mask import mask_secrets


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param('password = "hunter2hunter2"', 'password = "***"', id="assignment"),
        pytest.param("DB_PASSWORD: 'a$b c!'", "DB_PASSWORD: '***'", id="yaml"),
        pytest.param(
            'os.environ.get("SECRET_KEY", "dev$ecret")', 'os.environ.get("SECRET_KEY", "***")', id="default"
        ),
        pytest.param('{"api_key": "0123456789"}', '{"api_key": "***"}', id="json"),
        pytest.param("API_TOKEN=abcdef123456", "API_TOKEN=***", id="env"),
        pytest.param("k = 'AKIAIOSFODNN7EXAMPLE'", "k = 'AKIA***'", id="aws"),
        pytest.param("ghp_0123456789abcdefghijABCDEFGHIJ012345", "ghp_***", id="github"),
        pytest.param("postgresql://u:p%40ss@db/x", "postgresql://u:***@db/x", id="connection"),
        pytest.param("Cookie: session=abc; x=y", "Cookie: ***", id="header"),
        pytest.param(
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nx = 1",
            "-----BEGIN RSA PRIVATE KEY-----\n***\n***\n-----END RSA PRIVATE KEY-----\nx = 1",
            id="pem",
        ),
    ],
)
def test_values_are_hidden_and_names_stay(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked
    assert mask_secrets(masked) == masked


@pytest.mark.parametrize(
    "code",
    [
        'password = request.args["password"]',
        "token = make_token(user)",
        "TOKEN=$(cat /run/secret)",
        'query = "SELECT * FROM users WHERE name = \'" + name + "\'"',
        'url = "https://example.com/a:b@c"',
        'password = ""',
        "for key, value in tokens.items():\n    pass",
    ],
)
def test_code_without_a_value_stays(code: str) -> None:
    assert mask_secrets(code) == code


@pytest.mark.hostile
def test_long_lines_cost_little() -> None:
    for text in ("password" * 40_000, "a://" * 60_000, "TOKEN=" * 40_000, "secret = '" * 30_000):
        mask_secrets(text)
