"""A fake Ollama, and a llama.cpp server over the real embedded model."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def _fake_ollama_module() -> Any:
    path = Path(__file__).with_name("fake_ollama.py")
    spec = importlib.util.spec_from_file_location("fake_ollama", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake_ollama(_fake_ollama_module: Any) -> Iterator[Any]:
    """A running FakeOllama (see fake_ollama.py: it holds no model)."""
    with _fake_ollama_module.FakeOllama() as fake:
        yield fake
