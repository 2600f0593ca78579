"""A fake Ollama: see fake_ollama.py, it holds no model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fake_ollama import FakeOllama


@pytest.fixture
def fake_ollama() -> Iterator[FakeOllama]:
    with FakeOllama() as fake:
        yield fake
