"""Where the scanners are installed: outside our environment, whose packages theirs contradict."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from securetag.errors import SettingsError
from securetag.settings import SemgrepSettings, beside_environment

SEMGREP_ENVIRONMENT = ".venv-semgrep"


def semgrep_executable(settings: SemgrepSettings) -> Path:
    """The setting, else the one beside our environment, else PATH's. Raises SettingsError."""
    if settings.executable is not None:
        chosen = settings.executable.expanduser().absolute()
        if not os.access(chosen, os.X_OK):
            raise SettingsError(
                f"semgrep.executable is {chosen}, which can't be run",
                hint="Correct SECURETAG_SEMGREP__EXECUTABLE, or unset it.",
            )
        return chosen
    beside = beside_environment(SEMGREP_ENVIRONMENT) / "bin" / "semgrep"
    if os.access(beside, os.X_OK):
        return beside
    if executable := shutil.which("semgrep"):
        return Path(executable)
    raise SettingsError(
        f"Semgrep is neither in {beside.parent} nor on PATH",
        hint="Install it in an environment of its own: python -m venv .venv-semgrep && "
        ".venv-semgrep/bin/pip install semgrep==1.182.0",
    )
