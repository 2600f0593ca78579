"""Where the scanners are installed: outside our environment, whose packages theirs contradict."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from securetag.errors import SettingsError
from securetag.settings import beside_environment
from securetag.settings.sections import SemgrepSettings, WebSettings

SEMGREP_ENVIRONMENT = ".venv-semgrep"
WAPITI_ENVIRONMENT = ".venv-wapiti"


def semgrep_executable(settings: SemgrepSettings) -> Path:
    """The setting, else the one beside our environment, else PATH's. Raises SettingsError."""
    return _locate(
        "semgrep", settings.executable, "semgrep.executable", SEMGREP_ENVIRONMENT, "semgrep==1.182.0"
    )


def wapiti_executable(settings: WebSettings) -> Path:
    """The setting, else the one beside our environment, else PATH's. Raises SettingsError."""
    return _locate("wapiti", settings.wapiti, "web.wapiti", WAPITI_ENVIRONMENT, "wapiti3==3.2.3")


def _locate(program: str, setting: Path | None, name: str, environment: str, package: str) -> Path:
    if setting is not None:
        chosen = setting.expanduser().absolute()
        if not os.access(chosen, os.X_OK):
            variable = f"SECURETAG_{name.upper().replace('.', '__')}"
            raise SettingsError(
                f"{name} is {chosen}, which can't be run", hint=f"Correct {variable}, or unset it."
            )
        return chosen
    beside = beside_environment(environment) / "bin" / program
    if os.access(beside, os.X_OK):
        return beside
    if executable := shutil.which(program):
        return Path(executable)
    raise SettingsError(
        f"{program.capitalize()} is neither in {beside.parent} nor on PATH",
        hint=f"Install it in an environment of its own: python -m venv {environment} && "
        f"{environment}/bin/pip install {package}",
    )
