"""A fake Ollama, and a llama.cpp server over the real embedded model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fake_ollama import FakeOllama


@pytest.fixture
def fake_ollama() -> Iterator[FakeOllama]:
    """A running FakeOllama (see fake_ollama.py: it holds no model)."""
    with FakeOllama() as fake:
        yield fake
