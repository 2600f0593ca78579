"""What every test gets: no network, no home of the developer's, no surprise from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from pytest_socket import disable_socket, enable_socket, socket_allow_hosts

from securetag.settings import get_settings

pytest_plugins = ["chaos", "deployment", "postgres"]

# Set before any library reads them: nothing in a test may reach for a model hub.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# A deadline measures the machine's load, not the code.
hypothesis_settings.register_profile("securetag", deadline=None)
hypothesis_settings.load_profile("securetag")

LOOPBACK = ["127.0.0.1", "::1"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with a slow test begin first, so that no process is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """Unit tests may open Unix sockets only; tests marked `sockets` may reach loopback too."""
    if request.node.get_closest_marker("sockets"):
        socket_allow_hosts(LOOPBACK, allow_unix_socket=True)
    else:
        disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test writes below its own temporary folder, whatever the developer has set."""
    monkeypatch.setenv("SECURETAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SECURETAG_DATA", str(tmp_path / "data"))
    for name in ("DATABASE_URL", "OLLAMA_HOST", "SECURETAG_PEPPER", "SECURETAG_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def mirror(request: pytest.FixtureRequest) -> Path:
    """The folder of real upstream files; golden tests are skipped, visibly, without it."""
    request.node.user_properties.append(("golden", "1"))
    folder = os.environ.get("SECURETAG_MIRROR")
    if not folder or not (Path(folder) / "MANIFEST.json").is_file():
        pytest.skip("golden: SECURETAG_MIRROR names no folder with a MANIFEST.json")
    return Path(folder).absolute()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how many golden tests ran, since a skipped one proves nothing."""

    def golden(outcome: str, when: str) -> int:
        reports = terminalreporter.stats.get(outcome, [])
        return sum(("golden", "1") in r.user_properties and r.when == when for r in reports)

    ran = golden("passed", "call") + golden("failed", "call")
    terminalreporter.write_line(f"golden tests: {ran} run, {golden('skipped', 'setup')} skipped")
